"""Faults are spelled as each version spells them and read however anybody does."""

import pytest

from csms.ocpp.errors import Fault, OcppError, fault_from, spelled
from csms.ocpp.version import Version

CODES_16 = {
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "TypeConstraintViolation",
    "GenericError",
}
CODES_2X = (CODES_16 - {"FormationViolation", "OccurenceConstraintViolation"}) | {
    "FormatViolation",
    "OccurrenceConstraintViolation",
    "MessageTypeNotSupported",
    "RpcFrameworkError",
}


@pytest.mark.parametrize(
    ("version", "codes"), [(Version.V16, CODES_16), (Version.V201, CODES_2X), (Version.V21, CODES_2X)]
)
def test_a_version_is_only_told_its_own_codes(version: Version, codes: set[str]) -> None:
    assert {spelled(fault, version) for fault in Fault} == codes


def test_the_misspelling_of_16_is_kept() -> None:
    assert spelled(Fault.OCCURRENCE, Version.V16) == "OccurenceConstraintViolation"
    assert spelled(Fault.FORMAT, Version.V16) == "FormationViolation"


@pytest.mark.parametrize("code", sorted(CODES_16 | CODES_2X))
def test_every_spelling_is_understood(code: str) -> None:
    fault = fault_from(code)
    assert code in {spelled(fault, version) for version in Version}


@pytest.mark.parametrize("text", ["", "formatviolation", "VendorSpecificError"])
def test_an_unknown_code_is_a_generic_error(text: str) -> None:
    assert fault_from(text) is Fault.GENERIC


def test_an_error_says_what_is_wrong() -> None:
    error = OcppError(Fault.TYPE, "meterStart is no integer", {"field": "meterStart"})
    assert str(error) == "TypeConstraintViolation: meterStart is no integer"
    assert error.details == {"field": "meterStart"}
    assert OcppError(Fault.INTERNAL).details == {}
