"""OCPP 2.0.1 cases of blocks B, C, D, E, F, G, H and I in which an operator lets the system ask the station something."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.operator import Operator
from tests.conformance.station import Refusal, Station, now
from tests.conformance.transactions import Transaction, id_token

ACCEPTED = {"status": "Accepted"}


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


async def numbered(
    operator: Operator, station: Station, action: str, payload: dict[str, Any], answer: Any = None
) -> int:
    """The station is asked this and a request number that the system gives; the number."""
    asked, outcome = await operator.exchange(station, action, payload, answer)
    number = asked["requestId"]
    assert asked == payload | {"requestId": number} and number >= 0
    assert outcome["status"] == "answered"
    return number


# B: variables, reports, reset, network profiles

THRESHOLD = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "OfflineThreshold"}}
INTERVAL = {"component": {"name": "AlignedDataCtrlr"}, "variable": {"name": "Interval"}}


def _got(*places: dict) -> dict:
    return {"getVariableResult": [place | {"attributeStatus": "Accepted", "attributeValue": "60"} for place in places]}


def _set(*places: dict) -> dict:
    return {"setVariableResult": [place | {"attributeStatus": "Accepted"} for place in places]}


async def test_TC_B_06_one_variable(v201, operator):
    response = await asks(operator, v201, "GetVariables", {"getVariableData": [THRESHOLD]}, _got(THRESHOLD))
    assert response["getVariableResult"][0]["attributeValue"] == "60"


async def test_TC_B_07_several_variables(v201, operator):
    await asks(operator, v201, "GetVariables", {"getVariableData": [THRESHOLD, INTERVAL]}, _got(THRESHOLD, INTERVAL))


async def test_TC_B_09_one_variable_is_set(v201, operator):
    data = [THRESHOLD | {"attributeValue": "123"}]
    await asks(operator, v201, "SetVariables", {"setVariableData": data}, _set(THRESHOLD))


async def test_TC_B_10_several_variables_are_set(v201, operator):
    data = [THRESHOLD | {"attributeValue": "123"}, INTERVAL | {"attributeValue": "900"}]
    await asks(operator, v201, "SetVariables", {"setVariableData": data}, _set(THRESHOLD, INTERVAL))


async def _reported(station: Station, operator: Operator, number: int, parts: int = 2) -> None:
    """The parts of a report are taken, and an operator sees what they say."""
    for seq in reversed(range(parts)):
        attribute = {"value": str(seq), "mutability": "ReadWrite", "type": "Actual"}
        data = {"component": {"name": f"Part{seq}"}, "variable": {"name": "X"}, "variableAttribute": [attribute]}
        told = {
            "requestId": number, "generatedAt": now(), "seqNo": seq, "tbc": seq < parts - 1, "reportData": [data],
        }  # fmt: skip
        assert await station.call("NotifyReport", told) == {}
    shown = await operator.items(f"/stations/{station.identity}/device-model")
    names = {each["data"]["component"]["name"] for each in shown}
    assert {f"Part{seq}" for seq in range(parts)} <= names


async def _base_report(station: Station, operator: Operator, base: str) -> None:
    await _reported(station, operator, await numbered(operator, station, "GetBaseReport", {"reportBase": base}))


async def test_TC_B_12_configuration_inventory(v201, operator):
    await _base_report(v201, operator, "ConfigurationInventory")


async def test_TC_B_13_full_inventory(v201, operator):
    await _base_report(v201, operator, "FullInventory")


async def test_TC_B_14_summary_inventory(v201, operator):
    await _base_report(v201, operator, "SummaryInventory")


async def test_TC_B_18_custom_report(v201, operator):
    place = {"component": {"name": "EVSE", "evse": {"id": 1}}}
    request = {"componentCriteria": ["Problem", "Available"], "componentVariable": [place]}
    await _reported(v201, operator, await numbered(operator, v201, "GetReport", request), parts=1)


async def _reset(station: Station, operator: Operator, request: dict, *, token: str | None, answer: str) -> None:
    transaction = Transaction(station)
    if token:
        await transaction.started("Authorized", token=token)
    assert await asks(operator, station, "Reset", request, {"status": answer}) == {"status": answer}
    if token:
        reason = "ImmediateReset" if request["type"] == "Immediate" else "Local"
        await transaction.ended("ResetCommand" if reason != "Local" else "StopAuthorized", reason=reason)
    if "evseId" in request:
        await station.status("Available", request["evseId"])
        return
    await station.reconnect()
    assert (await station.boot(reason="RemoteReset"))["status"] == "Accepted"


async def test_TC_B_20_reset_while_idle(v201, operator):
    await _reset(v201, operator, {"type": "OnIdle"}, token=None, answer="Accepted")


async def test_TC_B_21_reset_once_idle(v201, operator, token):
    await _reset(v201, operator, {"type": "OnIdle"}, token=token, answer="Scheduled")


async def test_TC_B_22_reset_in_a_transaction(v201, operator, token):
    await _reset(v201, operator, {"type": "Immediate"}, token=token, answer="Accepted")


async def test_TC_B_25_reset_of_an_idle_evse(v201, operator):
    await _reset(v201, operator, {"type": "OnIdle", "evseId": 1}, token=None, answer="Accepted")


async def test_TC_B_26_reset_of_an_evse_once_idle(v201, operator, token):
    await _reset(v201, operator, {"type": "OnIdle", "evseId": 1}, token=token, answer="Scheduled")


async def test_TC_B_27_reset_of_an_evse_in_a_transaction(v201, operator, token):
    await _reset(v201, operator, {"type": "Immediate", "evseId": 1}, token=token, answer="Accepted")


@pytest.mark.parametrize("admission", ["pending", "rejected"])
async def test_TC_B_31_boot_is_triggered_before_acceptance(make_station, operator, admission):
    station = await make_station("2.0.1", boot=False, admission=admission)
    assert (await station.boot())["status"].lower() == admission
    await operator.put_station(station.identity, admission="accepted")
    await asks(operator, station, "TriggerMessage", {"requestedMessage": "BootNotification"})
    assert (await station.boot(reason="Triggered"))["status"] == "Accepted"


NETWORK = {
    "configurationSlot": 1,
    "connectionData": {
        "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "wss://csms.example/ocpp",
        "messageTimeout": 30, "securityProfile": 2, "ocppInterface": "Wired0",
    },
}  # fmt: skip


async def test_TC_B_42_network_profile(v201, operator):
    await asks(operator, v201, "SetNetworkProfile", NETWORK)


async def test_TC_B_44_network_profile_fails(v201, operator):
    assert await asks(operator, v201, "SetNetworkProfile", NETWORK, {"status": "Failed"}) == {"status": "Failed"}


# C: cache, master pass


async def test_TC_C_37_cache_is_cleared(v201, operator):
    await asks(operator, v201, "ClearCache", {})


async def test_TC_C_38_cache_is_not_cleared(v201, operator):
    assert await asks(operator, v201, "ClearCache", {}, {"status": "Rejected"}) == {"status": "Rejected"}


async def _master_pass(station: Station, operator: Operator, token: str, evses: tuple[int, ...]) -> None:
    await operator.put_token("MASTER", group="MASTERGROUP")
    transactions = [Transaction(station, evse) for evse in (1, 2)]
    for transaction in transactions:
        await transaction.started("Authorized", token=token)
    info = (await station.call("Authorize", {"idToken": id_token("MASTER")}))["idTokenInfo"]
    assert info["status"] == "Accepted" and info["groupIdToken"]["idToken"] == "MASTERGROUP"
    for evse in evses:
        answer = await transactions[evse - 1].ended("StopAuthorized", reason="MasterPass", token="MASTER")
        assert answer["idTokenInfo"]["groupIdToken"]["idToken"] == "MASTERGROUP"
    sessions = await operator.items("/sessions", station_id=station.identity, status="closed")
    assert [session["stop_reason"] for session in sessions] == ["MasterPass"] * len(evses)


async def test_TC_C_47_master_pass_stops_all(v201, operator, token):
    await _master_pass(v201, operator, token, (1, 2))


async def test_TC_C_48_master_pass_stops_the_selected(v201, operator, token):
    await _master_pass(v201, operator, token, (2,))


async def test_TC_C_49_master_pass_without_a_screen(v201, operator, token):
    await _master_pass(v201, operator, token, (1, 2))


async def test_TC_C_40_group_of_a_listed_token(v201, operator, token):
    await operator.put_token(token, group="GROUP1")
    await operator.put_token(token + "B", group="GROUP1")
    group = {"idToken": "GROUP1", "type": "Central"}
    entries = [
        {"idToken": id_token(each), "idTokenInfo": {"status": "Accepted", "groupIdToken": group}}
        for each in (token, token + "B")
    ]
    await _list(v201, operator, "Full", *entries)
    transaction = Transaction(v201)
    assert (await transaction.started("Authorized", token=token))["idTokenInfo"]["groupIdToken"] == group
    assert (await transaction.ended(token=token + "B"))["idTokenInfo"]["groupIdToken"] == group


async def test_TC_C_43_group_with_a_bad_list_entry(v201, operator, token):
    await operator.put_token(token, group="GROUP1")
    await operator.put_token(token + "B", group="GROUP1")
    group = {"idToken": "GROUP1", "type": "Central"}
    bad = {"idToken": id_token(token + "B"), "idTokenInfo": {"status": "Invalid", "groupIdToken": group}}
    await _list(v201, operator, "Full", bad)
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    info = (await v201.call("Authorize", {"idToken": id_token(token + "B")}))["idTokenInfo"]
    assert info == {"status": "Accepted", "groupIdToken": group}


# D: local list


async def _list(station: Station, operator: Operator, kind: str, *entries: dict) -> int:
    payload: dict[str, Any] = {"updateType": kind}
    if entries:
        payload["localAuthorizationList"] = list(entries)
    asked, outcome = await operator.exchange(station, "SendLocalList", payload)
    assert asked == payload | {"versionNumber": asked["versionNumber"]} and asked["versionNumber"] > 0
    assert outcome["response"] == ACCEPTED
    return asked["versionNumber"]


def entry(token: str) -> dict[str, Any]:
    return {"idToken": id_token(token), "idTokenInfo": {"status": "Accepted"}}


async def known_list(operator: Operator, station: Station) -> set[str]:
    (found,) = await operator.items("/local-lists", station_id=station.identity)
    return {each["idToken"]["idToken"] for each in found["entries"]}


async def test_TC_D_01_full_list(v201, operator):
    await _list(v201, operator, "Full", entry("A"), entry("B"))
    assert await known_list(operator, v201) == {"A", "B"}


async def test_TC_D_02_differential_list(v201, operator):
    first = await _list(v201, operator, "Full", entry("A"))
    assert await _list(v201, operator, "Differential", entry("B")) == first + 1
    assert await known_list(operator, v201) == {"A", "B"}


async def test_TC_D_03_entry_is_removed(v201, operator):
    await _list(v201, operator, "Full", entry("A"), entry("B"))
    await _list(v201, operator, "Differential", {"idToken": id_token("A")})
    assert await known_list(operator, v201) == {"B"}


async def test_TC_D_04_full_list_without_entries(v201, operator):
    await _list(v201, operator, "Full", entry("A"))
    await _list(v201, operator, "Full")
    assert await known_list(operator, v201) == set()


async def test_TC_D_08_list_version(v201, operator):
    number = await _list(v201, operator, "Full", entry("A"))
    answer = {"versionNumber": number}
    assert await asks(operator, v201, "GetLocalListVersion", {}, answer) == answer


async def test_TC_D_09_no_list_is_installed(v201, operator):
    assert await asks(operator, v201, "GetLocalListVersion", {}, {"versionNumber": 0}) == {"versionNumber": 0}


# E: remote stop, transaction status


async def test_TC_E_21_stop_from_afar(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await asks(operator, v201, "RequestStopTransaction", {"transactionId": transaction.id})
    await transaction.ended("RemoteStop", reason="Remote")
    assert (await operator.session(v201))["stop_reason"] == "Remote"


async def _status(station: Station, operator: Operator, id: str | None, **answer: bool) -> None:
    request = {} if id is None else {"transactionId": id}
    assert await asks(operator, station, "GetTransactionStatus", request, answer) == answer


async def test_TC_E_29_running_and_queued(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await _status(v201, operator, transaction.id, ongoingIndicator=True, messagesInQueue=True)


async def test_TC_E_30_running_and_nothing_queued(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await _status(v201, operator, transaction.id, ongoingIndicator=True, messagesInQueue=False)


async def test_TC_E_31_ended_and_queued(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token, seq=0)
    await transaction.event("Ended", "StopAuthorized", info={"stoppedReason": "Local"}, seq=3, offline=True)
    await _status(v201, operator, transaction.id, ongoingIndicator=False, messagesInQueue=True)
    for seq in (1, 2):
        await transaction.event("Updated", "MeterValuePeriodic", seq=seq, offline=True)
    session = await operator.session(v201)
    assert session["ended_at"] is not None


async def test_TC_E_33_no_id_and_queued(v201, operator):
    await _status(v201, operator, None, messagesInQueue=True)


async def test_TC_E_34_no_id_and_nothing_queued(v201, operator):
    await _status(v201, operator, None, messagesInQueue=False)


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


# I: cost


async def test_TC_I_01_running_cost(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await asks(operator, v201, "CostUpdated", {"totalCost": 1.25, "transactionId": transaction.id}, {})


async def test_station_that_does_not_support_something_goes_on(v201, operator):
    """T83."""
    _, outcome = await operator.exchange(v201, "ClearCache", {}, Refusal("NotSupported", "no cache"))
    assert (outcome["status"], outcome["error"]["code"]) == ("error", "NotSupported")
    assert "currentTime" in await v201.call("Heartbeat")


async def test_what_a_pending_station_was_asked_for_is_let_in(make_station, operator):
    """T43, B01.FR.10: in Pending the system reads what the station is, and the station may tell."""
    station = await make_station("2.0.1", boot=False, admission="pending")
    assert (await station.boot())["status"] == "Pending"
    number = await numbered(operator, station, "GetBaseReport", {"reportBase": "FullInventory"})
    told = {"requestId": number, "generatedAt": now(), "seqNo": 0, "tbc": False}
    assert await station.call("NotifyReport", told) == {}
    command = operator.send(station, "RequestStartTransaction", {"idToken": id_token("X")})
    with pytest.raises(AssertionError, match="409"):
        await asyncio.wait_for(command, 5)
