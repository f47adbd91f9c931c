"""OCPP 2.0.1 cases of blocks B, C, D, E and I in which an operator lets the system ask the station something."""

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
