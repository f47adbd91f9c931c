"""OCPP 1.6 cases in which an operator lets the system ask the station something."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.conformance.operator import Operator
from tests.conformance.station import Refusal, Station, now
from tests.conformance.test_16_core import authorized, start, stop

ACCEPTED = {"status": "Accepted"}
URL = "ftp://files.example/path"


def later(hours: float = 1) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds").replace("+00:00", "Z")


async def asks(
    operator: Operator, station: Station, action: str, payload: dict[str, Any], answer: Any = None
) -> dict[str, Any]:
    """The station is asked exactly this, and its answer is told; the response."""
    asked, outcome = await operator.exchange(station, action, payload, answer)
    assert asked == payload
    assert outcome["status"] == "answered"
    return outcome["response"]


async def refuses(operator: Operator, station: Station, action: str, payload: dict[str, Any], status: str) -> None:
    assert await asks(operator, station, action, payload, {"status": status}) == {"status": status}


# Remote start and stop


async def test_TC_010_remote_start_cable_first(v16, operator, token):
    await v16.status("Preparing")
    await asks(operator, v16, "RemoteStartTransaction", {"idTag": token, "connectorId": 1})
    assert await authorized(v16, token) == "Accepted"
    assert (await start(v16, token))["idTagInfo"]["status"] == "Accepted"


async def test_TC_011_1_remote_start_first(v16, operator, token):
    await asks(operator, v16, "RemoteStartTransaction", {"idTag": token})
    assert await authorized(v16, token) == "Accepted"
    await v16.status("Preparing")
    assert (await start(v16, token))["idTagInfo"]["status"] == "Accepted"


async def test_TC_011_2_remote_start_and_nobody_plugs_in(v16, operator, token):
    await asks(operator, v16, "RemoteStartTransaction", {"idTag": token, "connectorId": 1})
    assert await authorized(v16, token) == "Accepted"
    await v16.status("Preparing")
    await v16.status("Available")
    assert await operator.items("/sessions", station_id=v16.identity) == []


async def test_TC_012_remote_stop(v16, operator, token):
    transaction = (await start(v16, token))["transactionId"]
    await asks(operator, v16, "RemoteStopTransaction", {"transactionId": transaction})
    await stop(v16, transaction, reason="Remote")
    assert (await operator.session(v16))["stop_reason"] == "Remote"


async def test_TC_026_remote_start_refused(v16, operator, token):
    await refuses(operator, v16, "RemoteStartTransaction", {"idTag": token, "connectorId": 1}, "Rejected")


async def test_TC_028_remote_stop_refused(v16, operator, token):
    await refuses(operator, v16, "RemoteStopTransaction", {"transactionId": 999}, "Rejected")


# Reset, unlock


async def _reset(station: Station, operator: Operator, token: str, kind: str, reason: str) -> None:
    transaction = (await start(station, token))["transactionId"]
    await asks(operator, station, "Reset", {"type": kind})
    await stop(station, transaction, reason=reason)
    await station.reconnect()
    assert (await station.boot())["status"] == "Accepted"
    assert (await operator.session(station))["stop_reason"] == reason


async def test_TC_013_hard_reset(v16, operator, token):
    await _reset(v16, operator, token, "Hard", "HardReset")


async def test_TC_014_soft_reset(v16, operator, token):
    await _reset(v16, operator, token, "Soft", "SoftReset")


async def test_TC_017_1_unlock_a_detachable_cable(v16, operator):
    await refuses(operator, v16, "UnlockConnector", {"connectorId": 1}, "Unlocked")


async def test_TC_017_2_unlock_a_fixed_cable(v16, operator):
    await refuses(operator, v16, "UnlockConnector", {"connectorId": 1}, "NotSupported")


async def test_TC_018_1_unlock_in_a_session(v16, operator, token):
    transaction = (await start(v16, token))["transactionId"]
    await refuses(operator, v16, "UnlockConnector", {"connectorId": 1}, "Unlocked")
    await stop(v16, transaction, reason="UnlockCommand")
    assert (await operator.session(v16))["stop_reason"] == "UnlockCommand"


async def test_TC_030_unlock_fails(v16, operator):
    await refuses(operator, v16, "UnlockConnector", {"connectorId": 1}, "UnlockFailed")


async def test_TC_031_unlock_an_unknown_connector(v16, operator):
    await refuses(operator, v16, "UnlockConnector", {"connectorId": 99}, "NotSupported")


# Configuration


KEYS = [{"key": "MeterValueSampleInterval", "readonly": False, "value": "60"}, {"key": "Empty", "readonly": True}]


async def test_TC_019_1_all_configuration_keys(v16, operator):
    response = await asks(operator, v16, "GetConfiguration", {}, {"configurationKey": KEYS})
    assert response == {"configurationKey": KEYS}


async def test_TC_019_2_one_configuration_key(v16, operator):
    answer = {"configurationKey": [{"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core"}]}
    assert await asks(operator, v16, "GetConfiguration", {"key": ["SupportedFeatureProfiles"]}, answer) == answer


SAMPLES = {"key": "MeterValueSampleInterval", "value": "60"}


async def test_TC_021_change_of_configuration(v16, operator):
    await refuses(operator, v16, "ChangeConfiguration", SAMPLES, "Accepted")


async def test_TC_040_1_change_of_configuration_not_supported(v16, operator):
    await refuses(operator, v16, "ChangeConfiguration", SAMPLES, "NotSupported")


async def test_TC_040_2_change_of_configuration_refused(v16, operator):
    await refuses(operator, v16, "ChangeConfiguration", SAMPLES, "Rejected")


async def test_TC_061_clear_cache(v16, operator):
    await asks(operator, v16, "ClearCache", {})


# Local list


async def test_TC_042_1_local_list_not_supported(v16, operator):
    assert await asks(operator, v16, "GetLocalListVersion", {}, {"listVersion": -1}) == {"listVersion": -1}


async def test_TC_042_2_no_local_list(v16, operator):
    assert await asks(operator, v16, "GetLocalListVersion", {}, {"listVersion": 0}) == {"listVersion": 0}


def entry(tag: str) -> dict[str, Any]:
    return {"idTag": tag, "idTagInfo": {"status": "Accepted"}}


async def _list(station: Station, operator: Operator, kind: str, answer: str, *entries: dict) -> dict[str, Any]:
    payload = {"updateType": kind, "localAuthorizationList": list(entries)}
    asked, outcome = await operator.exchange(station, "SendLocalList", payload, {"status": answer})
    assert outcome["response"] == {"status": answer}
    assert asked == payload | {"listVersion": asked["listVersion"]} and asked["listVersion"] > 0
    return asked


async def test_TC_043_1_local_list_not_supported(v16, operator, token):
    await _list(v16, operator, "Full", "NotSupported", entry(token))


async def test_TC_043_3_local_list_fails(v16, operator, token):
    await _list(v16, operator, "Full", "Failed", entry(token))


async def test_TC_043_4_full_local_list(v16, operator, token):
    asked = await _list(v16, operator, "Full", "Accepted", entry(token), entry("OTHER"))
    assert all("idTagInfo" in each for each in asked["localAuthorizationList"])


async def test_TC_043_5_differential_local_list(v16, operator, token):
    first = await _list(v16, operator, "Full", "Accepted", entry(token))
    second = await _list(v16, operator, "Differential", "Accepted", entry("OTHER"), {"idTag": token})
    assert second["listVersion"] == first["listVersion"] + 1


# Firmware, diagnostics


async def _firmware(station: Station, operator: Operator, *progress: str) -> None:
    when = later(0)
    request = {"location": URL, "retrieveDate": when, "retries": 2, "retryInterval": 60}
    assert await asks(operator, station, "UpdateFirmware", request, {}) == {}
    for status in progress:
        assert await station.call("FirmwareStatusNotification", {"status": status}) == {}


async def test_TC_044_1_firmware_is_updated(v16, operator):
    await _firmware(v16, operator, "Downloading", "Downloaded", "Installing")
    await v16.reconnect(boot=True)
    assert await v16.call("FirmwareStatusNotification", {"status": "Installed"}) == {}


async def test_TC_044_2_firmware_cannot_be_downloaded(v16, operator):
    await _firmware(v16, operator, "Downloading", "DownloadFailed")


async def test_TC_044_3_firmware_cannot_be_installed(v16, operator):
    await _firmware(v16, operator, "Downloading", "Downloaded", "Installing", "InstallationFailed")


async def _diagnostics(station: Station, operator: Operator, *progress: str) -> None:
    request = {"location": URL, "startTime": later(-24), "stopTime": later(0)}
    answer = {"fileName": "diagnostics.log"}
    assert await asks(operator, station, "GetDiagnostics", request, answer) == answer
    for status in progress:
        assert await station.call("DiagnosticsStatusNotification", {"status": status}) == {}


async def test_TC_045_1_diagnostics(v16, operator):
    await _diagnostics(v16, operator, "Uploading", "Uploaded")


async def test_TC_045_2_diagnostics_cannot_be_uploaded(v16, operator):
    await _diagnostics(v16, operator, "Uploading", "UploadFailed")


# Reservation


async def reserve(
    station: Station, operator: Operator, token: str, answer: str = "Accepted", connector: int = 1, **fields: Any
) -> int:
    """The reservation's number, which the system gave."""
    payload = {"connectorId": connector, "idTag": token, "expiryDate": later()} | fields
    asked, outcome = await operator.exchange(station, "ReserveNow", payload, {"status": answer})
    assert asked == payload | {"reservationId": asked["reservationId"]}
    assert outcome["response"] == {"status": answer}
    (known,) = await operator.items("/reservations", station_id=station.identity)
    assert (known["reservation_id"], known["status"]) == (asked["reservationId"], answer.lower())
    return asked["reservationId"]


async def state(station: Station, operator: Operator) -> str:
    (known,) = await operator.items("/reservations", station_id=station.identity)
    return known["status"]


async def test_TC_046_reservation_is_used(v16, operator, token):
    number = await reserve(v16, operator, token)
    await v16.status("Reserved")
    assert await authorized(v16, token) == "Accepted"
    assert (await start(v16, token, reservationId=number))["idTagInfo"]["status"] == "Accepted"
    assert await state(v16, operator) == "used"


async def test_TC_047_reservation_expires(v16, operator, token):
    await reserve(v16, operator, token, expiryDate=later(0.0005))
    await v16.status("Reserved")
    await v16.status("Available")
    async with asyncio.timeout(10):
        while await state(v16, operator) != "expired":
            await asyncio.sleep(0.1)


async def test_TC_048_1_reservation_of_a_faulted_connector(v16, operator, token):
    await reserve(v16, operator, token, "Faulted")


async def test_TC_048_2_reservation_of_an_occupied_connector(v16, operator, token):
    await reserve(v16, operator, token, "Occupied")


async def test_TC_048_3_reservation_of_an_unavailable_connector(v16, operator, token):
    await reserve(v16, operator, token, "Unavailable")


async def test_TC_048_4_reservation_refused(v16, operator, token):
    await reserve(v16, operator, token, "Rejected")


async def test_TC_049_reservation_of_any_connector(v16, operator, token):
    number = await reserve(v16, operator, token, connector=0)
    await start(v16, token, reservationId=number)
    assert await state(v16, operator) == "used"


async def test_TC_051_reservation_is_cancelled(v16, operator, token):
    number = await reserve(v16, operator, token)
    await asks(operator, v16, "CancelReservation", {"reservationId": number})
    assert await state(v16, operator) == "cancelled"


async def test_TC_052_cancelling_is_refused(v16, operator, token):
    number = await reserve(v16, operator, token)
    await refuses(operator, v16, "CancelReservation", {"reservationId": number}, "Rejected")
    assert await state(v16, operator) == "accepted"


async def test_TC_053_reservation_is_used_by_one_of_the_group(v16, operator, token):
    await operator.put_token(token, group="GROUP1")
    await operator.put_token(token + "B", group="GROUP1")
    number = await reserve(v16, operator, token, parentIdTag="GROUP1")
    info = (await v16.call("Authorize", {"idTag": token + "B"}))["idTagInfo"]
    assert info == {"status": "Accepted", "parentIdTag": "GROUP1"}
    begun = await start(v16, token + "B", reservationId=number)
    assert begun["idTagInfo"]["parentIdTag"] == "GROUP1"
    assert await state(v16, operator) == "used"


# Remote trigger


async def test_TC_054_triggered_messages(v16, operator):
    sample = {"timestamp": now(), "sampledValue": [{"value": "1"}]}
    messages = {
        "MeterValues": {"connectorId": 1, "meterValue": [sample]},
        "Heartbeat": {},
        "StatusNotification": {"connectorId": 1, "status": "Available", "errorCode": "NoError"},
        "DiagnosticsStatusNotification": {"status": "Idle"},
        "FirmwareStatusNotification": {"status": "Idle"},
        "BootNotification": {"chargePointVendor": "Tester", "chargePointModel": "T1"},
    }
    for message, payload in messages.items():
        request = {"requestedMessage": message}
        if message in ("MeterValues", "StatusNotification"):
            request["connectorId"] = 1
        await asks(operator, v16, "TriggerMessage", request)
        await v16.call(message, payload)


async def test_TC_055_trigger_refused(v16, operator):
    request = {"requestedMessage": "MeterValues", "connectorId": 1}
    await refuses(operator, v16, "TriggerMessage", request, "Rejected")


async def test_refusal_with_an_error_is_an_outcome(v16, operator):
    """T83."""
    _, outcome = await operator.exchange(v16, "ClearCache", {}, Refusal("NotImplemented", "never heard of it"))
    assert (outcome["status"], outcome["error"]["code"]) == ("error", "NotImplemented")
