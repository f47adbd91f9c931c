"""What a 2.0.1 station answers to the server, and that it then does it."""

from __future__ import annotations

import pytest

from csms.ocpp.version import Version
from simulators.outlet import Phase
from simulators.session import Why

ACCEPTED, REJECTED = {"status": "Accepted"}, {"status": "Rejected"}
TOKEN = {"idToken": "REMOTE", "type": "Central"}


@pytest.fixture
def glass(make_glass):
    return make_glass(Version.V201, outlets=2).connect()


def transaction_id(glass) -> str:
    return glass.office.of("TransactionEvent")[0]["transactionInfo"]["transactionId"]


def test_a_remote_start_really_starts_and_names_its_request(glass):
    asked = glass.office.ask("RequestStartTransaction", idToken=TOKEN, remoteStartId=5, evseId=2)
    assert asked == ACCEPTED
    glass.pass_time(5)

    [started] = glass.office.of("TransactionEvent")
    assert started["triggerReason"] == "RemoteStart"
    assert started["transactionInfo"]["remoteStartId"] == 5
    assert (started["evse"]["id"], started["idToken"]["idToken"]) == (2, "REMOTE")


def test_a_remote_start_without_an_evse_takes_a_free_one_while_there_is_one(glass):
    answers = [glass.office.ask("RequestStartTransaction", idToken=TOKEN, remoteStartId=n) for n in (1,)]
    glass.pass_time(5)
    answers += [glass.office.ask("RequestStartTransaction", idToken=TOKEN, remoteStartId=2)]
    glass.pass_time(5)
    answers += [glass.office.ask("RequestStartTransaction", idToken=TOKEN, remoteStartId=3)]

    assert answers == [ACCEPTED, ACCEPTED, REJECTED]
    assert [event["evse"]["id"] for event in glass.office.of("TransactionEvent")] == [1, 2]


def test_a_remote_stop_really_stops(glass):
    glass.charge(1)
    assert glass.office.ask("RequestStopTransaction", transactionId="another") == REJECTED
    assert glass.office.ask("RequestStopTransaction", transactionId=transaction_id(glass)) == ACCEPTED
    glass.pass_time(1)

    ended = glass.office.of("TransactionEvent")[-1]
    assert (ended["triggerReason"], ended["transactionInfo"]["stoppedReason"]) == ("RemoteStop", "Remote")


def test_it_knows_whether_a_transaction_goes_on(glass):
    glass.charge(1)
    glass.office.silent_about = {"TransactionEvent"}
    glass.pass_time(61)

    asked = glass.office.ask("GetTransactionStatus", transactionId=transaction_id(glass))
    assert asked == {"messagesInQueue": True, "ongoingIndicator": True}
    assert glass.office.ask("GetTransactionStatus") == {"messagesInQueue": True}


def test_an_immediate_reset_ends_what_runs_and_boots_anew(glass):
    glass.charge(1)
    assert glass.office.ask("Reset", type="Immediate") == ACCEPTED
    glass.pass_time(60)

    assert glass.office.of("TransactionEvent")[-1]["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    assert [boot["reason"] for boot in glass.office.of("BootNotification")] == ["PowerUp", "RemoteReset"]


def test_a_reset_on_idle_waits_for_the_session_to_end(glass):
    outlet = glass.charge(1)
    assert glass.office.ask("Reset", type="OnIdle") == {"status": "Scheduled"}
    glass.pass_time(30)
    assert len(glass.office.of("BootNotification")) == 1

    outlet.stop(Why.LOCAL)
    glass.pass_time(180)
    assert len(glass.office.of("BootNotification")) == 2


def test_a_reset_on_idle_of_an_idle_station_comes_at_once(glass):
    assert glass.office.ask("Reset", type="OnIdle") == ACCEPTED
    glass.pass_time(60)

    assert len(glass.office.of("BootNotification")) == 2
    assert glass.office.ask("Reset", type="OnIdle", evseId=1) == REJECTED


def test_unlocking_leaves_a_session_alone(glass):
    glass.charge(1)

    def unlock(evse, connector):
        return glass.office.ask("UnlockConnector", evseId=evse, connectorId=connector)["status"]

    assert unlock(1, 1) == "OngoingAuthorizedTransaction"
    assert unlock(2, 1) == "Unlocked"
    assert unlock(2, 2) == unlock(9, 1) == "UnknownConnector"


def test_an_evse_goes_out_of_service_now_or_after_its_session(glass):
    outlet = glass.charge(1)
    change = glass.office.ask
    assert change("ChangeAvailability", operationalStatus="Inoperative", evse={"id": 2}) == ACCEPTED
    assert change("ChangeAvailability", operationalStatus="Inoperative", evse={"id": 1}) == {"status": "Scheduled"}
    assert change("ChangeAvailability", operationalStatus="Inoperative", evse={"id": 9}) == REJECTED
    outlet.stop(Why.LOCAL)
    glass.pass_time(120)
    assert [each.phase for each in glass.station.outlets] == [Phase.UNAVAILABLE, Phase.UNAVAILABLE]

    assert change("ChangeAvailability", operationalStatus="Operative") == ACCEPTED
    glass.pass_time(1)
    assert [each.phase for each in glass.station.outlets] == [Phase.AVAILABLE, Phase.AVAILABLE]


def variable(component: str, name: str, **more) -> dict:
    return {"component": {"name": component}, "variable": {"name": name}, **more}


def test_variables_are_read(glass):
    asked = glass.office.ask(
        "GetVariables",
        getVariableData=[
            variable("OCPPCommCtrlr", "HeartbeatInterval"),
            variable("OCPPCommCtrlr", "Nonsense"),
            variable("Nonsense", "HeartbeatInterval"),
            variable("OCPPCommCtrlr", "HeartbeatInterval", attributeType="Target"),
        ],
    )
    results = [(r["attributeStatus"], r.get("attributeValue")) for r in asked["getVariableResult"]]

    assert results == [
        ("Accepted", "300"),
        ("UnknownVariable", None),
        ("UnknownComponent", None),
        ("NotSupportedAttributeType", None),
    ]


def test_variables_are_set_to_what_they_can_be(glass):
    asked = glass.office.ask(
        "SetVariables",
        setVariableData=[
            variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="15"),
            variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="often"),
            variable("SampledDataCtrlr", "Nonsense", attributeValue="1"),
        ],
    )

    assert [r["attributeStatus"] for r in asked["setVariableResult"]] == [
        "Accepted",
        "Rejected",
        "UnknownVariable",
    ]
    assert glass.station.settings.meter_interval == 15.0


@pytest.mark.parametrize("what", ["BootNotification", "Heartbeat", "StatusNotification", "MeterValues"])
def test_a_triggered_message_comes(glass, what):
    before = len(glass.office.of(what))
    assert glass.office.ask("TriggerMessage", requestedMessage=what, evse={"id": 1}) == ACCEPTED
    glass.pass_time(1)

    assert len(glass.office.of(what)) > before


def test_a_triggered_transaction_event_tells_of_what_runs(glass):
    glass.charge(2)
    before = len(glass.office.of("TransactionEvent"))
    assert glass.office.ask("TriggerMessage", requestedMessage="TransactionEvent") == ACCEPTED
    glass.pass_time(1)

    assert len(glass.office.of("TransactionEvent")) == before + 1


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}, {"status": "NotImplemented"}),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 9}}, REJECTED),
        ("ClearCache", {}, ACCEPTED),
        ("DataTransfer", {"vendorId": "nobody"}, {"status": "UnknownVendorId"}),
        ("GetLocalListVersion", {}, {"versionNumber": 0}),
        ("CostUpdated", {}, "NotSupported"),
        ("MakeCoffee", {}, "NotImplemented"),
        ("Reset", {}, "TypeConstraintViolation"),
    ],
)
def test_everything_else_is_answered_too(glass, action, payload, answer):
    assert glass.office.ask(action, **payload) == answer
