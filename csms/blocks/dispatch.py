"""From a call to its answer: finds the handler of an action, decodes, lets it decide, encodes.

A handler is one function: `@answers async def boot(request: v16.BootNotification, ctx: Context) -> …Response`. Its
annotations say what it answers. What it changes goes into `ctx.unit`; the gateway commits that before it answers.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import random
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import msgspec

from csms.blocks.asking import Question
from csms.blocks.ports import Outside
from csms.domain.ports import Records
from csms.domain.quirks import Quirks
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.ocpp import frames, tolerance
from csms.ocpp.catalogue import Action, Version, action_of, actions
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.repairs import shortened
from csms.ocpp.signed import SUFFIX, unwrapped

Handler = Callable[[Any, "Context"], Awaitable[Any]]
H = TypeVar("H", bound=Handler)

# Losing one of these loses money: our own fault must never be answered as an error (E13.FR.04, 1.6 3.7.1).
TRANSACTION_ACTIONS = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})

Concurrent = Literal["allow", "refuse"]

_ITS_BOOT = frozenset({"BootNotification"})

_HANDLERS: dict[type, Handler] = {}
_encode = msgspec.json.Encoder().encode


class Impostor(Exception):
    """The station is not what its certificate says: the conversation ends without an answer (B01.FR.11, B01.FR.12)."""


class Rush:
    """Whether stations come back together, as after an outage of ours: more than 100 boots in the running minute."""

    __slots__ = ("_boots", "_minute")

    def __init__(self) -> None:
        self._minute, self._boots = 0, 0

    def felt(self, now: datetime) -> bool:
        """Count one boot more."""
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._boots = minute, 0
        self._boots += 1
        return self._boots > 100


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator of this system decided about the conversation."""

    heartbeat_interval: int = 300  # s
    retry_interval: int = 60  # s, for a station that is not accepted yet
    concurrent: Concurrent = "allow"  # A token that is in use elsewhere may be used all the same (T08).
    reread_after_boot: bool = False  # Ask a 2.x station for its monitors and profiles when it booted (T87).
    quirks: Quirks = field(default_factory=Quirks, repr=False)
    outside: Outside = field(default_factory=Outside, repr=False)  # Who is asked about certificates.
    boot_patience: float = 10.0  # s, until a 1.6 station that talks without a boot is asked for it.
    jitter: float = 0.2  # Spreads the intervals of stations that came back together.
    rush: Rush = field(default_factory=Rush, repr=False)
    random: Callable[[], float] = field(default=random, repr=False)

    def interval(self, accepted: bool, now: datetime) -> int:
        """Seconds until the next heartbeat (or boot), a whole number above zero (T45); spread out in a rush (rule 22)."""
        base = self.heartbeat_interval if accepted else self.retry_interval
        spread = self.jitter * (2 * self.random() - 1) if self.rush.felt(now) else 0.0
        return max(1, round(base * (1 + spread)))


class Context:
    """What a handler works with: the station, the time of receipt, and the unit it fills."""

    __slots__ = ("_unit", "afterwards", "now", "policy", "raw", "records", "repairs", "station", "version")

    def __init__(self, station: Station, version: Version, now: datetime, records: Records, policy: Policy):
        self.station = station
        self.version = version
        self.now = now
        self.records = records
        self.policy = policy
        self.raw = b""
        self.repairs: tuple[str, ...] = ()
        # Makes what is asked of the station by itself, once this answer is given (`cluster.followups`).
        self.afterwards: Callable[[], Awaitable[Any]] | None = None
        self._unit: Unit | None = None

    @property
    def unit(self) -> Unit:
        """What this message changes; made when a handler first changes something."""
        if self._unit is None:
            self._unit = Unit(self.station, self.now)
        return self._unit

    @property
    def booting(self) -> bool:
        """Whether this message is a boot: what it says of the station counts already for its answer."""
        return self._unit is not None and self._unit.booted is not None

    @property
    def work(self) -> Unit | None:
        """The unit to commit, None when nothing changed."""
        unit = self._unit
        return None if unit is None or unit.empty else unit


def answers(handler: H) -> H:
    """Register `handler` for the message types its first parameter names (a union: several versions)."""
    request = next(iter(inspect.signature(handler).parameters))
    wanted = get_type_hints(handler)[request]
    for message in get_args(wanted) or (wanted,):
        if message in _HANDLERS:
            raise TypeError(f"{message.__qualname__} has two handlers")
        _HANDLERS[message] = handler
    return handler


def received(request: msgspec.Struct) -> Any:
    """The answer that says no more than «received», in the words of the request's version."""
    response = action_of(type(request)).response
    assert response is not None
    return response()


def handler_of(action: Action) -> Handler | None:
    return _HANDLERS.get(action.request)


async def answer(call: frames.Call, ctx: Context) -> bytes:
    """The frame that answers `call`; raises OcppError for what must be refused."""
    action = actions(ctx.version).get(call.action)
    if action is None and ctx.version is not Version.V16 and call.action.endswith(SUFFIX):
        call = unwrapped(call)
        action = actions(ctx.version).get(call.action)
    if action is None:
        raise OcppError(Fault.NOT_IMPLEMENTED, f"{shortened(call.action)} is no action of OCPP {ctx.version}.")
    handler = handler_of(action) if action.from_station else None
    if handler is None:
        raise OcppError(Fault.NOT_SUPPORTED, f"{action.name} of a station is not supported here.")
    station = ctx.station
    if (
        station.registration != "accepted" and ctx.version is not Version.V16 and action.name != "BootNotification"
        and action.name not in (station.provoked or ())
    ):  # fmt: skip
        # B01.FR.10: until the registration is accepted, only a boot is answered, and what we asked for (T43). 1.6 leaves
        # it to us: we answer, and ask for its boot (T40).
        raise OcppError(Fault.SECURITY, "Send a BootNotification and wait until it is accepted.")
    ctx.raw = bytes(call.payload)
    zone = station.quirk.zone if station.quirk is not None else UTC
    request, ctx.repairs = tolerance.decode(action, ctx.raw, strict=station.strict, zone=zone)
    response = await handler(request, ctx)
    if station.registration is None and station.provoked is None and action.name != "BootNotification":
        station.provoked = _ITS_BOOT  # Once.
        ctx.afterwards = ctx.afterwards or _boot_of(station, ctx.policy.boot_patience)
    return frames.call_result(call.id, _encode(response))


def _boot_of(station: Station, patience: float) -> Callable[[], Awaitable[Question | None]]:
    """Asks a station that never said what it is to boot, if it has not done so by itself after `patience` s (T40)."""
    link = station.link

    async def make() -> Question | None:
        await asyncio.sleep(patience)
        if station.registration is not None or station.link is not link:
            return None
        return Question("TriggerMessage", {"requestedMessage": "BootNotification"})

    return make
