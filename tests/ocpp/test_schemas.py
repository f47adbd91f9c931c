"""The official schemas judge, and their verdict carries the right code."""

from typing import Any

import pytest

from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.errors import Fault

BOOT = {"chargePointVendor": "v", "chargePointModel": "m"}
PROFILE = {
    "connectorId": 1,
    "csChargingProfiles": {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1}]},
    },
}


def test_a_valid_payload_has_no_violation() -> None:
    assert schemas.violation(actions(Version.V16)["BootNotification"], BOOT) is None
    assert schemas.violation(actions(Version.V16)["Heartbeat"], {"currentTime": "now"}, response=True) is None


@pytest.mark.parametrize(
    ("payload", "fault", "place"),
    [
        ({"chargePointVendor": "v"}, Fault.OCCURRENCE, "chargePointModel"),
        (BOOT | {"chargePointModel": 1}, Fault.TYPE, "chargePointModel"),
        (BOOT | {"chargePointModel": None}, Fault.TYPE, "chargePointModel"),
        (BOOT | {"chargePointModel": "m" * 21}, Fault.PROPERTY, "chargePointModel"),
        (BOOT | {"colour": "red"}, Fault.FORMAT, "payload"),
        ([], Fault.FORMAT, "payload"),
        (None, Fault.FORMAT, "payload"),
    ],
)
def test_a_violation_carries_its_fault_and_place(payload: Any, fault: Fault, place: str) -> None:
    error = schemas.violation(actions(Version.V16)["BootNotification"], payload)
    assert error is not None
    assert (error.fault, error.description.split(":")[0]) == (fault, place)


def test_too_few_items_is_a_matter_of_occurrence() -> None:
    error = schemas.violation(actions(Version.V16)["MeterValues"], {"connectorId": 1, "meterValue": []})
    assert error is not None
    assert (error.fault, error.description.split(":")[0]) == (Fault.OCCURRENCE, "meterValue")


def test_a_place_inside_a_list_is_named() -> None:
    payload = {"connectorId": 1, "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": 5}]}]}
    error = schemas.violation(actions(Version.V16)["MeterValues"], payload)
    assert error is not None
    assert error.description.startswith("meterValue[0].sampledValue[0].value:")


def test_a_verdict_does_not_repeat_the_value() -> None:
    error = schemas.violation(actions(Version.V16)["Authorize"], {"idTag": "SECRET" * 9})
    assert error is not None
    assert "SECRET" not in f"{error} {error.details}"


@pytest.mark.parametrize(("limit", "lawful"), [(16.1, True), (0.3, True), (16.15, False)])
def test_T54_tenths_are_multiples_of_a_tenth(limit: float, lawful: bool) -> None:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    payload = PROFILE | {"csChargingProfiles": PROFILE["csChargingProfiles"] | {"chargingSchedule": schedule}}  # type: ignore[operator]
    assert (schemas.violation(actions(Version.V16)["SetChargingProfile"], payload) is None) == lawful


def test_a_schema_is_compiled_once() -> None:
    first = schemas.validator(Version.V201, "HeartbeatRequest")
    assert schemas.validator(Version.V201, "HeartbeatRequest") is first


def test_an_unknown_message_is_named() -> None:
    with pytest.raises(LookupError, match="FlyRequest"):
        schemas.validator(Version.V16, "FlyRequest")
