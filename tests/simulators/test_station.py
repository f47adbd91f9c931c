"""What a station does by itself, seen from the office at the other end of its line."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from csms.ocpp.version import Version
from simulators.connection import RefusedError
from simulators.ledger import read
from simulators.outlet import Phase
from simulators.session import Why

V16, V201 = Version.V16, Version.V201


def begins(glass) -> list[dict]:
    if glass.station.plan.version is V16:
        return glass.office.of("StartTransaction")
    return [event for event in glass.office.of("TransactionEvent") if event["eventType"] == "Started"]


def ends(glass) -> list[dict]:
    if glass.station.plan.version is V16:
        return glass.office.of("StopTransaction")
    return [event for event in glass.office.of("TransactionEvent") if event["eventType"] == "Ended"]


def transaction_action(glass) -> str:
    return "StartTransaction" if glass.station.plan.version is V16 else "TransactionEvent"


# -- registration --------------------


def test_it_boots_and_then_tells_every_status(make_glass):
    office = make_glass(V16, outlets=2).connect().office
    assert office.actions == ["BootNotification"] + ["StatusNotification"] * 3
    assert [status["connectorId"] for status in office.of("StatusNotification")] == [0, 1, 2]

    office = make_glass(V201, outlets=2).connect().office
    assert office.actions == ["BootNotification"] + ["StatusNotification"] * 2
    assert [(s["evseId"], s["connectorId"]) for s in office.of("StatusNotification")] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
@pytest.mark.parametrize("version", [V16, V201])
def test_it_obeys_when_told_to_wait(make_glass, version, status):
    glass = make_glass(version)
    accepted = glass.office.answers["BootNotification"]
    glass.office.answers["BootNotification"] = accepted | {"status": status, "interval": 90}
    glass.connect()
    glass.pass_time(89)
    assert glass.office.actions == ["BootNotification"]

    glass.office.answers["BootNotification"] = accepted
    glass.pass_time(2)
    assert glass.office.actions[:3] == ["BootNotification", "BootNotification", "StatusNotification"]


def test_it_asks_again_when_the_boot_gets_no_answer(glass, make_glass):
    fresh = make_glass(glass.station.plan.version)
    fresh.office.silent_about = {"BootNotification"}
    fresh.connect()
    fresh.pass_time(29)
    assert fresh.office.dials == 1

    fresh.office.silent_about = set()
    fresh.pass_time(60)
    assert fresh.station.registration.accepted


def test_heartbeats_come_at_the_interval_of_the_server(glass):
    glass.pass_time(3 * 300)

    assert 2 <= len(glass.office.of("Heartbeat")) <= 4


def test_a_server_that_forgot_its_registration_gets_a_new_boot(make_glass):
    glass = make_glass(V201).connect()
    glass.office.refuses = {"Heartbeat": "SecurityError"}
    glass.pass_time(301)

    assert glass.office.actions.count("BootNotification") >= 2


# -- sessions --------------------


def test_a_session_goes_from_plug_to_plug(glass):
    outlet = glass.charge()
    glass.pass_time(125)
    outlet.stop(Why.LOCAL)
    glass.pass_time(120)

    [begin], [end] = begins(glass), ends(glass)
    [session] = glass.station.sessions
    assert session.closed
    assert session.acknowledged
    assert session.energy_wh > 0
    assert outlet.phase is Phase.AVAILABLE
    if glass.station.plan.version is V16:
        assert (begin["connectorId"], begin["idTag"], begin["meterStart"]) == (
            1,
            "TAG",
            session.begin.register_wh,
        )
        assert (end["transactionId"], end["meterStop"], end["reason"]) == (
            77,
            session.end.register_wh,
            "Local",
        )
        words = [status["status"] for status in glass.office.of("StatusNotification")]
        assert words == ["Available", "Available", "Preparing", "Charging", "Finishing", "Available"]
    else:
        assert begin["idToken"] == {"idToken": "TAG", "type": "ISO14443"}
        assert end["transactionInfo"]["stoppedReason"] == "Local"
        words = [status["connectorStatus"] for status in glass.office.of("StatusNotification")]
        assert words == ["Available", "Occupied", "Available"]


def test_its_times_rise_strictly_and_its_register_never_falls(make_glass):
    glass = make_glass(V201, outlets=2, meter_interval_s=10.0).connect()
    for number in (1, 2):
        glass.charge(number)
    glass.pass_time(100)
    events = glass.office.of("TransactionEvent")
    times = [datetime.fromisoformat(event["timestamp"]) for event in events]
    registers = [
        event["meterValue"][0]["sampledValue"][0]["value"]
        for event in events
        if event.get("evse", {}).get("id") == 1
    ]

    assert len(set(times)) == len(times) > 15
    assert times == sorted(times)
    assert registers == sorted(registers)


def test_the_events_of_a_transaction_are_numbered_from_zero(make_glass):
    glass = make_glass(V201).connect()
    outlet = glass.charge()
    glass.pass_time(180)
    outlet.stop(Why.LOCAL)
    glass.pass_time(1)
    numbers = [event["seqNo"] for event in glass.office.of("TransactionEvent")]

    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 4


def test_a_token_that_is_refused_charges_nothing(glass):
    key = "idTagInfo" if glass.station.plan.version is V16 else "idTokenInfo"
    glass.office.answers["Authorize"] = {key: {"status": "Blocked"}}
    glass.station.outlets[0]._car_arrives()
    glass.pass_time(150)

    assert begins(glass) == []
    assert glass.station.sessions == []
    assert glass.station.outlets[0].phase is Phase.AVAILABLE


def test_a_token_refused_in_the_answer_to_the_start_ends_the_session(glass):
    if glass.station.plan.version is V16:
        glass.office.answers["StartTransaction"] = {
            "idTagInfo": {"status": "ConcurrentTx"},
            "transactionId": 77,
        }
    else:
        glass.office.answers["TransactionEvent"] = {"idTokenInfo": {"status": "Invalid"}}
    glass.station.outlets[0]._car_arrives()
    glass.pass_time(30)

    [end] = ends(glass)
    assert end.get("reason") == "DeAuthorized" or end["transactionInfo"]["stoppedReason"] == "DeAuthorized"


def test_a_session_may_begin_with_the_plug_and_learn_its_token_later(make_glass):
    glass = make_glass(V201, starts_on_plug=True).connect()
    glass.charge()
    started, authorized = glass.office.of("TransactionEvent")[:2]

    assert (started["triggerReason"], started["transactionInfo"]["chargingState"]) == (
        "CablePluggedIn",
        "EVConnected",
    )
    assert "idToken" not in started
    assert (authorized["triggerReason"], authorized["idToken"]["idToken"]) == ("Authorized", "TAG")
    assert glass.station.sessions[0].token == "TAG"


def test_a_full_car_suspends_and_leaves(glass):
    outlet = glass.charge()
    outlet.car.soc = 1.0
    glass.pass_time(61)
    assert outlet.phase is Phase.SUSPENDED_EV

    glass.pass_time(601)
    [end] = ends(glass)
    assert (
        end.get("reason") == "EVDisconnected" or end["transactionInfo"]["stoppedReason"] == "EVDisconnected"
    )


def test_a_driver_who_has_enough_stops_it(glass):
    outlet = glass.charge()
    outlet._wanted_wh = 1.0
    glass.pass_time(61)

    assert len(ends(glass)) == 1
    assert glass.station.sessions[0].why is Why.LOCAL


def test_a_fault_ends_the_session_and_is_repaired(glass):
    outlet = glass.charge()
    outlet._fails_at_wh = 1.0
    glass.pass_time(61)
    assert len(ends(glass)) == 1
    assert outlet.phase is Phase.FAULTED
    last = glass.office.of("StatusNotification")[-1]
    assert last.get("errorCode", "GroundFailure") == "GroundFailure"

    glass.pass_time(901)
    assert outlet.phase is Phase.AVAILABLE


def test_cars_come_by_themselves_where_the_plan_says_so(make_glass):
    glass = make_glass(
        V16, sessions_per_hour=60.0, session_energy_kwh=(0.1, 0.5), meter_interval_s=10.0
    ).connect()
    glass.pass_time(1800)

    assert len(begins(glass)) > 3
    assert len({begin["meterStart"] for begin in begins(glass)}) > 1


# -- offline --------------------


def test_what_happened_offline_is_told_afterwards_in_order_with_its_own_times(glass):
    glass.office.away = ConnectionRefusedError()
    glass.station.link.cut()
    outlet = glass.charge()
    glass.pass_time(61)
    outlet.stop(Why.LOCAL)
    assert begins(glass) == ends(glass) == []
    assert not glass.station.owes_nothing

    glass.office.away = None
    glass.pass_time(400)
    [begin], [end] = begins(glass), ends(glass)
    session = glass.station.sessions[0]
    assert datetime.fromisoformat(begin["timestamp"]) == session.begin.at
    assert datetime.fromisoformat(end["timestamp"]) == session.end.at
    assert glass.station.owes_nothing
    assert session.acknowledged
    if glass.station.plan.version is V16:
        assert {meter["transactionId"] for meter in glass.office.of("MeterValues")} == {77}
    else:
        assert all(event["offline"] for event in glass.office.of("TransactionEvent"))
    assert glass.office.actions.count("BootNotification") == 1  # A reconnect is no boot.


def test_a_start_without_an_answer_is_sent_again_word_for_word(glass):
    action = transaction_action(glass)
    glass.office.silent_about = {action}
    glass.charge()
    glass.station.link.cut()
    glass.office.silent_about = set()
    glass.pass_time(60)

    first, again = glass.office.of(action)[:2]
    assert first == again
    assert glass.station.owes_nothing


@pytest.mark.parametrize("keeps", [True, False])
def test_a_message_sent_again_keeps_its_id_or_not_as_its_maker_likes(make_glass, keeps):
    glass = make_glass(V16, keeps_message_ids=keeps).connect()
    glass.office.silent_about = {"StartTransaction"}
    glass.charge()
    glass.station.link.cut()
    glass.pass_time(60)
    ids = [
        i
        for i, name in zip(glass.office.ids, glass.office.actions, strict=True)
        if name == "StartTransaction"
    ]

    assert (ids[0] == ids[1]) is keeps


def test_a_link_without_answers_is_given_up_for_a_new_one(glass):
    glass.office.silent_about = {"Heartbeat"}
    glass.pass_time(300 + 31)
    assert glass.office.dials == 1 or glass.world.tally.unanswered

    glass.pass_time(60)
    assert glass.office.dials >= 2


def test_a_message_the_server_keeps_refusing_is_given_up(glass):
    action = transaction_action(glass)
    glass.office.refuses = {action: "InternalError"}
    outlet = glass.charge()
    glass.pass_time(120)
    glass.office.refuses = {}
    outlet.stop(Why.LOCAL)
    glass.pass_time(60)

    assert len([1 for payload in glass.office.of(action) if payload == glass.office.of(action)[0]]) == 3
    assert glass.station.sessions[0].given_up
    assert glass.station.owes_nothing
    if glass.station.plan.version is V16:  # Without an id there is nothing to stop.
        assert glass.office.of("StopTransaction") == []


def test_back_off_doubles_within_bounds_and_starts_afresh_after_success(make_glass):
    glass = make_glass(V16)
    glass.office.away = ConnectionRefusedError()
    waits = [glass.station.link.back_off(None) for _ in range(12)]

    assert 2.5 <= waits[0] <= 7.5
    assert waits[-1] <= 450.0
    assert sum(waits[6:]) > 4 * sum(waits[:3])
    glass.office.away = None
    glass.connect()
    assert glass.station.link.back_off(None) <= 7.5


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(make_glass):
    glass = make_glass(V16)
    glass.office.away = RefusedError(503, "busy", retry_after=700.0)
    glass.station.connect()
    glass.pass_time(699)
    assert glass.office.dials == 1

    glass.pass_time(200)
    assert glass.office.dials == 2
    assert glass.world.tally.refused == {"503": 2}


def test_an_outage_comes_and_goes(make_glass):
    glass = make_glass(V16, outages_per_hour=60.0, outage_s=(10.0, 20.0)).connect()
    glass.pass_time(600)

    assert glass.world.tally.reconnects >= 3
    assert not glass.world.tally.refused


# -- the end --------------------


def test_at_the_end_what_runs_is_ended_and_nothing_begins(make_glass):
    glass = make_glass(V16, outlets=2, sessions_per_hour=3600.0).connect()
    glass.charge(1)
    glass.station.finish(end_sessions=True)
    glass.pass_time(600)

    assert all(session.closed and session.acknowledged for session in glass.station.sessions)
    assert all(outlet.session is None for outlet in glass.station.outlets)
    assert glass.station.owes_nothing


def test_after_hanging_up_it_does_not_come_back(glass):
    glass.station.hang_up()
    glass.pass_time(1000)

    assert glass.office.dials == 1
    assert glass.world.tally.connected == 0


# -- the ledger --------------------


def test_every_transaction_message_and_its_answer_are_written_down(make_glass, ledger):
    glass = make_glass(V16, ledger=ledger).connect()
    outlet = glass.charge()
    glass.pass_time(61)
    outlet.stop(Why.LOCAL)
    glass.pass_time(1)
    ledger.close()
    lines = list(read(ledger.path))

    assert [(line.kind, line.action) for line in lines] == [
        ("sent", "StartTransaction"), ("answered", "StartTransaction"),
        ("sent", "MeterValues"), ("answered", "MeterValues"),
        ("sent", "StopTransaction"), ("answered", "StopTransaction"),
    ]  # fmt: skip
    assert json.loads(bytes(lines[1].payload))["transactionId"] == 77
    assert [line.letter for line in lines] == [1, 1, 2, 2, 3, 3]


def test_a_refusal_is_written_down_with_its_code(make_glass, ledger):
    glass = make_glass(V201, ledger=ledger).connect()
    glass.office.refuses = {"TransactionEvent": "InternalError"}
    glass.charge()
    ledger.close()

    assert [(line.kind, line.code) for line in read(ledger.path)][:2] == [
        ("sent", None),
        ("refused", "InternalError"),
    ]


def test_too_many_calls_waiting_are_dropped_not_raised(glass):
    glass.office.silent_about = set(glass.office.answers)
    for _ in range(300):
        glass.station.beat_now()

    assert len(glass.office.of("Heartbeat")) == 1
