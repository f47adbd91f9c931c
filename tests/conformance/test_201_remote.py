"""OCPP 2.0.1 cases of blocks F (remote control), G (availability) and H (reservation)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.operator import Operator
from tests.conformance.station import Station
from tests.conformance.test_201_operator import ACCEPTED, asks, later
from tests.conformance.transactions import Transaction, id_token

# F: remote start, unlock, triggers


async def _remote_start(station: Station, operator: Operator, token: str, **fields: Any) -> int:
    payload = {"idToken": id_token(token)} | fields
    asked, outcome = await operator.exchange(station, "RequestStartTransaction", payload)
    number = asked["remoteStartId"]
    assert asked == payload | {"remoteStartId": number} and outcome["response"] == ACCEPTED
    return number


async def _started_remotely(station: Station, operator: Operator, token: str, number: int) -> None:
    transaction = Transaction(station)
    info = {"remoteStartId": number}
    answer = await transaction.event("Started", "RemoteStart", info=info, token=token, evse={"id": 1, "connectorId": 1})
    assert answer["idTokenInfo"]["status"] == "Accepted"
    assert (await operator.session(station))["token"] == token


async def test_TC_F_01_remote_start_plugged(v201, operator, token):
    await v201.status("Occupied")
    await _started_remotely(v201, operator, token, await _remote_start(v201, operator, token, evseId=1))


async def test_TC_F_02_remote_start_first_with_authorization(v201, operator, token):
    number = await _remote_start(v201, operator, token, evseId=1)
    assert await Transaction(v201).authorize(token) == "Accepted"
    await _started_remotely(v201, operator, token, number)


async def test_TC_F_03_remote_start_first_without_authorization(v201, operator, token):
    await _started_remotely(v201, operator, token, await _remote_start(v201, operator, token, evseId=1))


async def test_TC_F_04_remote_start_times_out(v201, operator, token):
    number = await _remote_start(v201, operator, token, evseId=1)
    transaction = Transaction(v201)
    await transaction.event("Started", "RemoteStart", info={"remoteStartId": number}, token=token)
    await transaction.ended("EVConnectTimeout", reason="Timeout")
    assert (await operator.session(v201))["stop_reason"] == "Timeout"


async def test_TC_F_06_unlock_while_idle(v201, operator):
    request = {"evseId": 1, "connectorId": 1}
    assert await asks(operator, v201, "UnlockConnector", request, {"status": "Unlocked"}) == {"status": "Unlocked"}


SAMPLE = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": 1.5}]}


async def _triggers(station: Station, operator: Operator, message: str, evse: dict | None) -> None:
    request = {"requestedMessage": message} | ({"evse": evse} if evse else {})
    await asks(operator, station, "TriggerMessage", request)


async def test_TC_F_11_meter_values_of_an_evse(v201, operator):
    await _triggers(v201, operator, "MeterValues", {"id": 1})
    assert await v201.call("MeterValues", {"evseId": 1, "meterValue": [SAMPLE]}) == {}


async def test_TC_F_12_meter_values_of_all(v201, operator):
    await _triggers(v201, operator, "MeterValues", None)
    for evse in (1, 2):
        assert await v201.call("MeterValues", {"evseId": evse, "meterValue": [SAMPLE]}) == {}


async def _triggered_event(station: Station, operator: Operator, token: str, evse: dict | None) -> None:
    transaction = Transaction(station)
    await transaction.started("Authorized", token=token)
    await _triggers(station, operator, "TransactionEvent", evse)
    await transaction.updated("Trigger", meterValue=[SAMPLE])


async def test_TC_F_13_transaction_of_an_evse(v201, operator, token):
    await _triggered_event(v201, operator, token, {"id": 1})


async def test_TC_F_14_all_transactions(v201, operator, token):
    await _triggered_event(v201, operator, token, None)


async def test_TC_F_15_log_status(v201, operator):
    await _triggers(v201, operator, "LogStatusNotification", None)
    assert await v201.call("LogStatusNotification", {"status": "Idle"}) == {}


async def test_TC_F_18_firmware_status(v201, operator):
    await _triggers(v201, operator, "FirmwareStatusNotification", None)
    assert await v201.call("FirmwareStatusNotification", {"status": "Idle"}) == {}


async def test_TC_F_20_heartbeat(v201, operator):
    await _triggers(v201, operator, "Heartbeat", None)
    assert "currentTime" in await v201.call("Heartbeat")


async def test_TC_F_23_status_of_an_available_connector(v201, operator):
    await _triggers(v201, operator, "StatusNotification", {"id": 1, "connectorId": 1})
    await v201.status("Available")


async def test_TC_F_24_status_of_an_occupied_connector(v201, operator):
    await v201.status("Occupied")
    await _triggers(v201, operator, "StatusNotification", {"id": 1, "connectorId": 1})
    await v201.status("Occupied")


async def test_TC_F_27_trigger_that_is_not_implemented(v201, operator):
    request = {"requestedMessage": "LogStatusNotification"}
    assert await asks(operator, v201, "TriggerMessage", request, {"status": "NotImplemented"}) == {
        "status": "NotImplemented"
    }
    assert "currentTime" in await v201.call("Heartbeat")


# G: availability

EVSE, CONNECTOR = {"id": 1}, {"id": 1, "connectorId": 1}


async def _availability(station: Station, operator: Operator, status: str, evse: dict | None) -> None:
    request = {"operationalStatus": status} | ({"evse": evse} if evse else {})
    await asks(operator, station, "ChangeAvailability", request)
    await station.status("Unavailable" if status == "Inoperative" else "Available")


async def test_TC_G_03_evse_inoperative(v201, operator):
    await _availability(v201, operator, "Inoperative", EVSE)


async def test_TC_G_04_evse_operative(v201, operator):
    await _availability(v201, operator, "Operative", EVSE)


async def test_TC_G_05_station_inoperative(v201, operator):
    await _availability(v201, operator, "Inoperative", None)


async def test_TC_G_06_station_operative(v201, operator):
    await _availability(v201, operator, "Operative", None)


async def test_TC_G_07_connector_inoperative(v201, operator):
    await _availability(v201, operator, "Inoperative", CONNECTOR)


async def test_TC_G_08_connector_operative(v201, operator):
    await _availability(v201, operator, "Operative", CONNECTOR)


async def _scheduled(station: Station, operator: Operator, token: str, evse: dict | None) -> None:
    transaction = Transaction(station)
    await transaction.started("Authorized", token=token)
    request = {"operationalStatus": "Inoperative"} | ({"evse": evse} if evse else {})
    answer = {"status": "Scheduled"}
    assert await asks(operator, station, "ChangeAvailability", request, answer) == answer
    await transaction.ended()
    await station.status("Unavailable")


async def test_TC_G_11_evse_in_a_transaction(v201, operator, token):
    await _scheduled(v201, operator, token, EVSE)


async def test_TC_G_14_station_in_a_transaction(v201, operator, token):
    await _scheduled(v201, operator, token, None)


async def test_TC_G_17_connector_in_a_transaction(v201, operator, token):
    await _scheduled(v201, operator, token, CONNECTOR)


# H: reservation


async def _reserve(station: Station, operator: Operator, token: str, answer: str = "Accepted", **fields: Any) -> int:
    payload = {"expiryDateTime": later(), "idToken": id_token(token)} | fields
    asked, outcome = await operator.exchange(station, "ReserveNow", payload, {"status": answer})
    assert asked == payload | {"id": asked["id"]} and outcome["response"] == {"status": answer}
    return asked["id"]


async def _state(station: Station, operator: Operator) -> str:
    return (await operator.items("/reservations", station_id=station.identity))[0]["status"]


async def _used(station: Station, token: str, number: int) -> None:
    transaction = Transaction(station)
    answer = await transaction.started("Authorized", token=token, reservationId=number)
    assert answer["idTokenInfo"]["status"] == "Accepted"


async def test_TC_H_01_reserved_evse_is_used(v201, operator, token):
    number = await _reserve(v201, operator, token, evseId=1)
    await v201.status("Reserved")
    await _used(v201, token, number)
    assert await _state(v201, operator) == "used"


async def test_TC_H_07_reservation_lapses(v201, operator, token):
    number = await _reserve(v201, operator, token, evseId=1)
    told = {"reservationId": number, "reservationUpdateStatus": "Expired"}
    assert await v201.call("ReservationStatusUpdate", told) == {}
    assert await _state(v201, operator) == "expired"


async def test_TC_H_08_any_evse(v201, operator, token):
    await _used(v201, token, await _reserve(v201, operator, token))


async def test_TC_H_14_all_evses_are_reserved(v201, operator, token):
    for _ in (1, 2):
        await _reserve(v201, operator, token)
    for evse in (1, 2):
        await v201.status("Reserved", evse)
    await operator.put_token(token + "X")
    assert await Transaction(v201).authorize(token + "X") == "Accepted"


async def test_TC_H_15_by_connector_type(v201, operator, token):
    await _used(v201, token, await _reserve(v201, operator, token, connectorType="cCCS2"))


async def test_TC_H_17_reservation_is_cancelled(v201, operator, token):
    number = await _reserve(v201, operator, token, evseId=1)
    await asks(operator, v201, "CancelReservation", {"reservationId": number})
    assert await _state(v201, operator) == "cancelled"


async def test_TC_H_19_one_of_the_group_uses_it(v201, operator, token):
    await operator.put_token(token, group="GROUP1")
    await operator.put_token(token + "B", group="GROUP1")
    group = {"idToken": "GROUP1", "type": "Central"}
    number = await _reserve(v201, operator, token, evseId=1, groupIdToken=group)
    info = (await v201.call("Authorize", {"idToken": id_token(token + "B")}))["idTokenInfo"]
    assert info["groupIdToken"] == group
    await _used(v201, token + "B", number)


async def test_TC_H_20_station_drops_it(v201, operator, token):
    number = await _reserve(v201, operator, token, evseId=1)
    await v201.status("Faulted")
    told = {"reservationId": number, "reservationUpdateStatus": "Removed"}
    assert await v201.call("ReservationStatusUpdate", told) == {}
    assert await _state(v201, operator) == "removed"


@pytest.mark.parametrize("answer", ["Faulted", "Occupied", "Rejected", "Unavailable"])
async def test_TC_H_22_station_refuses(v201, operator, token, answer):
    await _reserve(v201, operator, token, answer, evseId=1)
    assert await _state(v201, operator) == answer.lower()
