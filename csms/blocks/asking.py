"""What the system asks of stations: the ids it gives, when it may ask, and what an answer changes.

Beside each block stands what the answers to its questions mean: `@settles def reserved(request: v16.ReserveNow, response:
v16.ReserveNowResponse | None) -> Iterable[Change]`. None: the question went out, and no answer came.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec

from csms.domain.asked import Change, Forgotten
from csms.domain.stations import Registration
from csms.domain.unit import Reported
from csms.ocpp import schemas, tolerance
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.errors import OcppError

Settle = Callable[[Any, Any], Iterable[Change]]
S = TypeVar("S", bound=Settle)

Path = tuple[str, ...]

# Where a question holds ids that the system gives when the operator gave none.
_ALLOCATED_2X: dict[str, tuple[Path, ...]] = {
    "ReserveNow": (("id",),),
    "RequestStartTransaction": (("remoteStartId",), ("chargingProfile", "id")),
    "SetChargingProfile": (("chargingProfile", "id"),),
    "SetDisplayMessage": (("message", "id"),),
    "SendLocalList": (("versionNumber",),),
} | {
    action: (("requestId",),)
    for action in (
        "GetBaseReport", "GetReport", "GetMonitoringReport", "GetChargingProfiles", "GetDisplayMessages",
        "CustomerInformation", "GetLog", "UpdateFirmware", "PublishFirmware",
    )
}  # fmt: skip
ALLOCATED: dict[Version, dict[str, tuple[Path, ...]]] = {
    Version.V16: {
        "ReserveNow": (("reservationId",),),
        "RemoteStartTransaction": (("chargingProfile", "chargingProfileId"),),
        "SetChargingProfile": (("csChargingProfiles", "chargingProfileId"),),
        "SendLocalList": (("listVersion",),),
        "GetLog": (("requestId",),),
        "SignedUpdateFirmware": (("requestId",),),
    },
    Version.V201: _ALLOCATED_2X,
    Version.V21: _ALLOCATED_2X,
}
LIST = "SendLocalList"  # Its id is the list's next version at that station, not one of the system's.

# 1.6 4.2, 2.x B02.FR.05: not before the boot is accepted.
_STARTS_AND_STOPS = frozenset({
    "RemoteStartTransaction", "RemoteStopTransaction", "RequestStartTransaction", "RequestStopTransaction",
})  # fmt: skip
# What a trigger lets a station send before its boot is accepted, where it is not called like the trigger.
_TRIGGERED = {
    "SignChargePointCertificate": "SignCertificate",
    "SignChargingStationCertificate": "SignCertificate",
    "SignV2GCertificate": "SignCertificate",
    "SignCombinedCertificate": "SignCertificate",
}
_REPORTS = {"GetBaseReport": "NotifyReport", "GetReport": "NotifyReport"}

UNSUPPORTED = "unsupported"  # What a station refused with NotImplemented or NotSupported.


class Question(NamedTuple):
    """What the system asks of a station by itself: the payload as it is sent, but for an id of ours that it lacks."""

    action: str
    payload: dict[str, Any]


_SETTLES: dict[type, list[Settle]] = {}


def settles(function: S) -> S:
    """Register what the answers to the requests mean that the first parameter names (a union: several versions)."""
    request = next(iter(inspect.signature(function).parameters))
    wanted = get_type_hints(function)[request]
    for message in get_args(wanted) or (wanted,):
        _SETTLES.setdefault(message, []).append(function)
    return function


def settled_by(request: type) -> list[str]:
    """The modules that know what the answer to this request changes."""
    return list(dict.fromkeys(function.__module__ for function in _SETTLES.get(request, ())))


def missing_ids(version: Version, action: str, payload: Any) -> tuple[Path, ...]:
    """Where the payload lacks ids that the system gives."""
    return tuple(path for path in ALLOCATED[version].get(action, ()) if _lacks(payload, path))


def _lacks(payload: Any, path: Path) -> bool:
    for name in path[:-1]:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return isinstance(payload, dict) and path[-1] not in payload


def with_ids(payload: Any, paths: Iterable[Path], number: int) -> Any:
    """The payload with the id at these places; what was given keeps its order."""
    for path in paths:
        payload = _with_id(payload, path, number)
    return payload


def _with_id(payload: Any, path: Path, number: int) -> Any:
    head, *rest = path
    return {**payload, head: _with_id(payload[head], tuple(rest), number) if rest else number}


_ANY_NUMBER = 1  # Stands for an id of ours while a request is judged that leaves it to us.


def wrong_with(version: Version, action: str, payload: Any) -> tuple[str, str] | None:
    """Why the official schema of this version does not let this be sent: (its place, what is wrong); None: it does."""
    known = actions(version).get(action)
    if known is None or not known.from_csms:
        names = ", ".join(name for name, each in actions(version).items() if each.from_csms)
        return "action", f"A central system asks no {action!r} in OCPP {version}. It asks: {names}."
    wrong = schemas.violation(known, with_ids(payload, missing_ids(version, action, payload), _ANY_NUMBER))
    if wrong is None:
        return None
    return wrong.description.partition(":")[0], f"OCPP {version} {action}: {wrong.description}"


def may_ask(action: str, request: Any, registration: Registration | None) -> bool:
    """Whether a station that was answered this to its boot may be asked this (T42, B02, B03)."""
    if registration == "accepted" or (action == "TriggerMessage" and _trigger(request) == "BootNotification"):
        return True
    return registration == "pending" and action not in _STARTS_AND_STOPS


def provoked(action: str, request: Any) -> frozenset[str]:
    """The messages that a question asks for: a station may send them before its boot is accepted (T43, B01.FR.10)."""
    if action in _REPORTS:
        return frozenset({_REPORTS[action]})
    if action in ("TriggerMessage", "ExtendedTriggerMessage"):
        wanted = _trigger(request)
        return frozenset({_TRIGGERED.get(wanted, wanted)} if isinstance(wanted, str) else ())
    return frozenset()


def changes(version: Version, action: str, request: bytes, response: bytes | None) -> list[Change]:
    """What an answer (None: none came) changes; nothing where request or answer are not understood."""
    known = actions(version).get(action)
    functions = _SETTLES.get(known.request) if known is not None else None
    if known is None or functions is None:
        return []
    try:
        asked = known.decode_request(request)
        answered = tolerance.decode(known, response, response=True).message if response is not None else None
        return [change for function in functions for change in function(asked, answered)]
    except (ValueError, RecursionError, OcppError):
        return []


def capability(action: str, status: str, error: Any) -> list[Change]:
    """Remember what a station says it cannot do, until it does it (T83)."""
    if status == "error" and error["code"] in ("NotImplemented", "NotSupported"):
        return [Reported(UNSUPPORTED, action, msgspec.json.encode(error))]
    return [Forgotten(UNSUPPORTED, prefix=action)] if status == "answered" else []


def _trigger(request: Any) -> Any:
    return request.get("requestedMessage") if isinstance(request, dict) else None
