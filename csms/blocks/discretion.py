"""What people may see of a message between a station and the system: all but its secrets."""

from __future__ import annotations

import re
from typing import Any

from csms.blocks.secrets import MASK, is_secret, masked, without_passwords

_SECRET_FIELDS = frozenset({"apnPassword", "simPin", "password", "basicAuthPassword", "preSharedKey"})
_TOKEN_FIELDS = frozenset({"idTag", "parentIdTag", "idToken"})
_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(-----END \1PRIVATE KEY-----|\Z)", re.DOTALL)
_SHOWN = 2  # Characters at each end of a token: enough to tell two apart, too few to use one.


def discreet(action: str | None, value: Any) -> Any:
    """A payload (or frame) of an action without passwords, private keys and whole tokens."""
    return _walked(masked(action, value) if action is not None else value)


def _walked(value: Any) -> Any:
    if isinstance(value, dict):
        named = _name_of(value)
        secret = named is not None and is_secret(named)
        return {name: _field(name, inner, secret) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walked(inner) for inner in value]
    if isinstance(value, str):
        value = without_passwords(value)
        return _PRIVATE_KEY.sub(MASK, value) if "PRIVATE KEY" in value else value
    return value


def _name_of(value: dict[str, Any]) -> str | None:
    """The configuration key (1.6) or variable (2.x) that an object tells of."""
    variable = value.get("variable")
    name = value.get("key") if variable is None else variable.get("name") if isinstance(variable, dict) else None
    return name if isinstance(name, str) else None


def _field(name: str, value: Any, secret: bool) -> Any:
    if name in _SECRET_FIELDS and isinstance(value, str | int):
        return MASK
    if secret and name in ("value", "attributeValue", "actualValue") and value is not None:
        return MASK
    if secret and name == "variableAttribute" and isinstance(value, list):
        return [{**each, "value": MASK} if isinstance(each, dict) and "value" in each else each for each in value]
    if name in _TOKEN_FIELDS and isinstance(value, str):
        return _part(value)
    return _walked(value)


def _part(token: str) -> str:
    if len(token) <= 3 * _SHOWN:
        return MASK if token else token
    return f"{token[:_SHOWN]}…{token[-_SHOWN:]}"
