"""What a 1.6 station answers to the server, and that it then does it."""

from __future__ import annotations

import pytest

from csms.ocpp.version import Version
from simulators.outlet import Phase
from simulators.session import Why


@pytest.fixture
def glass(make_glass):
    return make_glass(Version.V16, outlets=2).connect()


ACCEPTED, REJECTED = {"status": "Accepted"}, {"status": "Rejected"}


def test_a_remote_start_really_starts(glass):
    assert glass.office.ask("RemoteStartTransaction", idTag="REMOTE", connectorId=2) == ACCEPTED
    glass.pass_time(5)

    [start] = glass.office.of("StartTransaction")
    assert (start["connectorId"], start["idTag"]) == (2, "REMOTE")
    assert glass.office.of("Authorize") == [{"idTag": "REMOTE"}]


def test_without_a_connector_a_remote_start_takes_a_free_one(glass):
    glass.charge(1)
    assert glass.office.ask("RemoteStartTransaction", idTag="REMOTE") == ACCEPTED
    glass.pass_time(5)
    assert [start["connectorId"] for start in glass.office.of("StartTransaction")] == [1, 2]

    assert glass.office.ask("RemoteStartTransaction", idTag="REMOTE") == REJECTED


def test_a_remote_start_does_not_authorize_when_told_so(glass):
    glass.office.ask("ChangeConfiguration", key="AuthorizeRemoteTxRequests", value="false")
    glass.office.ask("RemoteStartTransaction", idTag="REMOTE", connectorId=1)
    glass.pass_time(5)

    assert glass.office.of("Authorize") == []
    assert len(glass.office.of("StartTransaction")) == 1


def test_a_remote_start_with_a_refused_token_starts_nothing(glass):
    glass.office.answers["Authorize"] = {"idTagInfo": {"status": "Invalid"}}
    glass.office.ask("RemoteStartTransaction", idTag="REMOTE", connectorId=1)
    glass.pass_time(120)

    assert glass.office.of("StartTransaction") == []
    assert glass.station.outlets[0].phase is Phase.AVAILABLE


@pytest.mark.parametrize("connector", [0, 3])
def test_a_remote_start_where_there_is_nothing_is_rejected(glass, connector):
    assert glass.office.ask("RemoteStartTransaction", idTag="REMOTE", connectorId=connector) == REJECTED


def test_a_remote_stop_really_stops(glass):
    glass.charge(1)
    assert glass.office.ask("RemoteStopTransaction", transactionId=78) == REJECTED
    assert glass.office.ask("RemoteStopTransaction", transactionId=77) == ACCEPTED
    glass.pass_time(1)

    [stop] = glass.office.of("StopTransaction")
    assert (stop["transactionId"], stop["reason"]) == (77, "Remote")


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
def test_a_reset_ends_what_runs_and_boots_anew(glass, kind, reason):
    glass.charge(1)
    assert glass.office.ask("Reset", type=kind) == ACCEPTED
    glass.pass_time(60)

    assert [stop["reason"] for stop in glass.office.of("StopTransaction")] == [reason]
    assert glass.office.actions.count("BootNotification") == 2


def test_unlocking_ends_the_session(glass):
    glass.charge(1)
    assert glass.office.ask("UnlockConnector", connectorId=1) == {"status": "Unlocked"}
    glass.pass_time(1)
    assert [stop["reason"] for stop in glass.office.of("StopTransaction")] == ["UnlockCommand"]

    assert glass.office.ask("UnlockConnector", connectorId=2) == {"status": "Unlocked"}
    assert glass.office.ask("UnlockConnector", connectorId=9) == {"status": "NotSupported"}


def test_an_outlet_taken_out_of_service_says_so_and_comes_back(glass):
    assert glass.office.ask("ChangeAvailability", connectorId=2, type="Inoperative") == ACCEPTED
    glass.pass_time(1)
    assert glass.office.of("StatusNotification")[-1]["status"] == "Unavailable"
    assert glass.office.ask("RemoteStartTransaction", idTag="REMOTE", connectorId=2) == REJECTED

    assert glass.office.ask("ChangeAvailability", connectorId=2, type="Operative") == ACCEPTED
    glass.pass_time(1)
    assert glass.office.of("StatusNotification")[-1]["status"] == "Available"
    assert glass.office.ask("ChangeAvailability", connectorId=9, type="Operative") == REJECTED


def test_a_busy_outlet_goes_out_of_service_afterwards(glass):
    outlet = glass.charge(1)
    assert glass.office.ask("ChangeAvailability", connectorId=0, type="Inoperative") == {"status": "Scheduled"}
    glass.pass_time(1)
    assert outlet.phase is Phase.CHARGING

    outlet.stop(Why.LOCAL)
    glass.pass_time(120)
    assert [each.phase for each in glass.station.outlets] == [Phase.UNAVAILABLE, Phase.UNAVAILABLE]


def test_configuration_is_read_and_changed(glass):
    everything = glass.office.ask("GetConfiguration")
    keys = {item["key"]: item for item in everything["configurationKey"]}
    assert keys["NumberOfConnectors"] == {"key": "NumberOfConnectors", "readonly": True, "value": "2"}

    some = glass.office.ask("GetConfiguration", key=["HeartbeatInterval", "Nonsense"])
    assert some == {
        "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}],
        "unknownKey": ["Nonsense"],
    }


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("MeterValueSampleInterval", "15", "Accepted"),
        ("MeterValueSampleInterval", "often", "Rejected"),
        ("AuthorizeRemoteTxRequests", "maybe", "Rejected"),
        ("NumberOfConnectors", "9", "Rejected"),
        ("Nonsense", "1", "NotSupported"),
    ],
)
def test_a_setting_is_changed_only_to_what_it_can_be(glass, key, value, status):
    before = glass.station.settings.get(key)

    assert glass.office.ask("ChangeConfiguration", key=key, value=value) == {"status": status}
    assert glass.station.settings.get(key) == (value if status == "Accepted" else before)


@pytest.mark.parametrize(
    ("what", "action"),
    [
        ("BootNotification", "BootNotification"),
        ("Heartbeat", "Heartbeat"),
        ("StatusNotification", "StatusNotification"),
        ("MeterValues", "MeterValues"),
    ],
)
def test_a_triggered_message_comes(glass, what, action):
    before = len(glass.office.of(action))
    assert glass.office.ask("TriggerMessage", requestedMessage=what, connectorId=1) == ACCEPTED
    glass.pass_time(1)

    assert len(glass.office.of(action)) > before


def test_what_it_cannot_be_triggered_to_say_it_says_so(glass):
    asked = glass.office.ask("TriggerMessage", requestedMessage="FirmwareStatusNotification")
    assert asked == {"status": "NotImplemented"}
    assert glass.office.ask("TriggerMessage", requestedMessage="MeterValues", connectorId=9) == REJECTED


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("ClearCache", {}, ACCEPTED),
        ("DataTransfer", {"vendorId": "nobody"}, {"status": "UnknownVendorId"}),
        ("GetLocalListVersion", {}, {"listVersion": -1}),
        ("ReserveNow", {}, "NotSupported"),
        ("Heartbeat", {}, "NotSupported"),
        ("MakeCoffee", {}, "NotImplemented"),
        ("Reset", {"type": "Tender"}, "TypeConstraintViolation"),
        ("Reset", {}, "TypeConstraintViolation"),
    ],
)
def test_everything_else_is_answered_too(glass, action, payload, answer):
    assert glass.office.ask(action, **payload) == answer


def test_a_frame_that_is_none_is_answered_with_an_error(glass):
    glass.station.message(b"nonsense")

    assert glass.office._answer.code == "FormationViolation"
