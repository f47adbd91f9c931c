"""Functional block A: security events are kept for good, passwords change hands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from csms.blocks.asking import settles
from csms.blocks.dispatch import Context, answers, received
from csms.blocks.noting import note
from csms.domain.asked import PasswordSettled
from csms.domain.events import SecurityNotified
from csms.domain.stations import trusted_time
from csms.domain.unit import Noted
from csms.ocpp import v16, v201

SECURITY = "security"

# The standard events that somebody has to look at (1.6 security whitepaper, 2.0.1 appendix 1).
CRITICAL = frozenset({
    "FirmwareUpdated", "SettingSystemTime", "StartupOfTheDevice", "ResetOrReboot", "SecurityLogWasCleared",
    "MemoryExhaustion", "TamperDetectionActivated",
})  # fmt: skip
CRITICAL_SEVERITY, OTHER_SEVERITY = 3, 7

_encode = msgspec.json.Encoder().encode


@answers
async def security_event(
    request: v16.SecurityEventNotification | v201.SecurityEventNotification, ctx: Context
) -> object:
    """Any type is taken: vendors add their own (string of up to 50)."""
    at = trusted_time(request.timestamp, ctx.now)
    critical = request.type in CRITICAL
    severity = CRITICAL_SEVERITY if critical else OTHER_SEVERITY
    noted = Noted(at, SECURITY, severity, request.type, request.tech_info, _encode(request))
    told = SecurityNotified(at=at, code=request.type, severity=severity, critical=critical, text=request.tech_info)
    await note(ctx, [(noted, told)])
    return received(request)


def new_password(action: str, request: Any) -> bytes | None:
    """The password that a request gives to the station; None where it gives none.

    1.6: bytes written as hex (an odd text is taken as it is); 2.x: text.
    """
    try:
        if action == "ChangeConfiguration" and request["key"].lower() == "authorizationkey":
            try:
                return bytes.fromhex(request["value"])
            except ValueError:
                return request["value"].encode()
        if action == "SetVariables":
            for data in request["setVariableData"]:
                if data["variable"]["name"].lower() == "basicauthpassword":
                    return data["attributeValue"].encode()
    except (KeyError, TypeError, AttributeError):  # A tester's own idea of a request.
        pass
    return None


@settles
def key_changed(
    request: v16.ChangeConfiguration, response: v16.ChangeConfigurationResponse | None
) -> Iterator[PasswordSettled]:
    """Without an answer either password may be the one, until one is used (A01)."""
    if request.key.lower() == "authorizationkey" and response is not None:
        yield PasswordSettled(response.status in ("Accepted", "RebootRequired"))


@settles
def password_changed(
    request: v201.SetVariables, response: v201.SetVariablesResponse | None
) -> Iterator[PasswordSettled]:
    for result in response.set_variable_result if response is not None else ():
        if result.variable.name.lower() == "basicauthpassword":
            yield PasswordSettled(result.attribute_status in ("Accepted", "RebootRequired"))
