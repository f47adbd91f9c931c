"""What of a question to a station is never recorded or shown: passwords, also those within addresses."""

from __future__ import annotations

import re
from typing import Any

MASK = "********"

# Configuration keys (1.6) and variables (2.x) that hold passwords.
SECRET_NAMES = frozenset({"authorizationkey", "basicauthpassword"})
# Fields that hold secrets wherever they stand (2.x SetNetworkProfile; 2.1 SetNetworkProfile has a password of its own).
_SECRET_FIELDS = {"SetNetworkProfile": frozenset({"apnPassword", "simPin", "password", "key", "basicAuthPassword"})}
_WITH_ADDRESSES = frozenset({
    "GetDiagnostics", "GetLog", "PublishFirmware", "SetNetworkProfile", "SignedUpdateFirmware", "UpdateFirmware",
})  # fmt: skip
_GIVEN = frozenset({"value", "attributeValue"})
_IN_ADDRESS = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*(?=@)")


def is_secret(name: str) -> bool:
    """Whether a configuration key (1.6) or variable (2.x) of this name holds a password."""
    return name.lower() in SECRET_NAMES


def sets_password(payload: Any) -> bool:
    """Whether a password is among the values that a payload, or the words of a verb, give to stations."""
    if isinstance(payload, list):
        return any(map(sets_password, payload))
    if not isinstance(payload, dict):
        return False
    named = payload.get("key") or payload.get("variable")
    named = named.get("name") if isinstance(named, dict) else named
    given = isinstance(named, str) and is_secret(named) and not _GIVEN.isdisjoint(payload)
    return given or any(is_secret(name) or sets_password(inner) for name, inner in payload.items())


def without_passwords(text: str) -> str:
    """A text without the passwords within its addresses (`ftp://user:…@host`)."""
    return _IN_ADDRESS.sub(rf"\1:{MASK}", text)


def masked(action: str, request: Any) -> Any:
    """A request as it may be recorded and shown."""
    try:
        if action == "ChangeConfiguration" and is_secret(request["key"]):
            return {**request, "value": MASK}
        if action == "SetVariables":
            data = [
                {**each, "attributeValue": MASK} if is_secret(each["variable"]["name"]) else each
                for each in request["setVariableData"]
            ]
            return {**request, "setVariableData": data}
    except (KeyError, TypeError, AttributeError):  # A tester's own idea of a request.
        return {"masked": MASK}
    return _walked(request, _SECRET_FIELDS.get(action, frozenset())) if action in _WITH_ADDRESSES else request


def _walked(value: Any, secret: frozenset[str]) -> Any:
    """The value without the fields that are secret, and without passwords in addresses."""
    if isinstance(value, dict):
        return {name: _field(name, inner, secret) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walked(inner, secret) for inner in value]
    return without_passwords(value) if isinstance(value, str) else value


def _field(name: str, value: Any, secret: frozenset[str]) -> Any:
    return MASK if name in secret and isinstance(value, str | int) else _walked(value, secret)
