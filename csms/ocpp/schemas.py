"""The official schemas as judges of what is sent and of what the strict types leave open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import jsonschema_rs

from csms.ocpp.catalogue import Action
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.version import Version

# Conformance: what is absent or too many is a matter of occurrence, as is the length of a list. An unknown property
# is «not conform the PDU structure» in 1.6's words for a FormationViolation; 2.x keeps the code's meaning.
_FAULTS = {
    "type": Fault.TYPE,
    "required": Fault.OCCURRENCE,
    "minItems": Fault.OCCURRENCE,
    "maxItems": Fault.OCCURRENCE,
    "additionalProperties": Fault.FORMAT,
}


def type_names(version: Version) -> Iterator[str]:
    """Every message type that has a schema: `BootNotificationRequest`, `BootNotificationResponse`, …"""
    for file in sorted(_folder(version).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            stem = file.name.removesuffix(".json")
            yield stem if stem.endswith(("Request", "Response")) else f"{stem}Request"


@cache
def official(version: Version, type_name: str) -> dict[str, Any]:
    """The schema of one message type; do not change it, others read it too."""
    # 1.6 and the one message of 2.1 that is never answered name the file of a request after its action.
    for name in (type_name, type_name.removesuffix("Request")):
        file = _folder(version) / f"{name}.json"
        if file.is_file():
            schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
            return schema
    raise LookupError(f"OCPP {version} has no message {type_name}")


@cache
def validator(version: Version, type_name: str) -> jsonschema_rs.Validator:
    """The compiled judge of one message type; it names no values in its messages."""
    return jsonschema_rs.validator_for(official(version, type_name), validate_formats=False, mask="the value")


def violation(action: Action, payload: object, response: bool = False) -> OcppError | None:
    """What the official schema first finds wrong with a payload of plain JSON values, if anything."""
    type_name = f"{action.name}{'Response' if response else 'Request'}"
    error = next(validator(action.version, type_name).iter_errors(payload), None)
    return None if error is None else _translated(error)


def _translated(error: jsonschema_rs.ValidationError) -> OcppError:
    path = list(error.instance_path)
    keyword = error.kind.name
    if keyword == "required":
        path.append(error.kind.property)
    fault = _FAULTS.get(keyword, Fault.PROPERTY)
    if keyword == "type" and not path:
        fault = Fault.FORMAT  # The payload itself is not an object.
    return OcppError(fault, f"{dotted(path)}: {error.message}", {"keyword": keyword})


def dotted(path: Sequence[str | int]) -> str:
    """A place in a payload as people write it: `meterValue[0].timestamp`, `payload` for the whole."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".") or "payload"


@cache
def _folder(version: Version) -> Traversable:
    return files("ocpp") / version.package / "schemas"
