"""What can be wrong with a message, in words of ours and in the spelling of each version."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from csms.ocpp.version import Version


class Fault(StrEnum):
    """A kind of error, the same for all versions; the value is its OCPP 2.x code."""

    FORMAT = "FormatViolation"
    OCCURRENCE = "OccurrenceConstraintViolation"
    TYPE = "TypeConstraintViolation"
    PROPERTY = "PropertyConstraintViolation"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL = "InternalError"
    PROTOCOL = "ProtocolError"
    SECURITY = "SecurityError"
    GENERIC = "GenericError"
    MESSAGE_TYPE = "MessageTypeNotSupported"
    RPC_FRAMEWORK = "RpcFrameworkError"


# 1.6 misspells one code and knows no word for a broken frame or an unknown message type.
_SPELLED_16 = {
    Fault.FORMAT: "FormationViolation",
    Fault.OCCURRENCE: "OccurenceConstraintViolation",
    Fault.MESSAGE_TYPE: "GenericError",
    Fault.RPC_FRAMEWORK: "FormationViolation",
}

# Peers mix the versions' spellings, so every one is understood from everybody.
_FAULTS = {fault.value: fault for fault in Fault} | {
    "FormationViolation": Fault.FORMAT,
    "OccurenceConstraintViolation": Fault.OCCURRENCE,
}


def spelled(fault: Fault, version: Version) -> str:
    """The code that `version` writes on the wire for `fault`."""
    if version is Version.V16:
        return _SPELLED_16.get(fault, fault.value)
    return fault.value


def fault_from(text: str) -> Fault:
    """The fault a peer's error code names; a code nobody defined is a generic error."""
    return _FAULTS.get(text, Fault.GENERIC)


class OcppError(Exception):
    """What goes wrong between two OCPP peers: the peer learns the fault, our log the rest."""

    def __init__(self, fault: Fault, description: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{fault.value}: {description}" if description else fault.value)
        self.fault = fault
        self.description = description
        self.details: dict[str, Any] = dict(details or {})
