"""What a station does by itself, seen from the office at the other end of its line."""

from __future__ import annotations

from datetime import datetime

from csms.ocpp.version import Version
from simulators.outlet import Phase
from simulators.session import Why

V16, V201 = Version.V16, Version.V201


def test_a_session_goes_from_plug_to_plug(glass):
    outlet = glass.charge()
    glass.pass_time(125)
    outlet.stop(Why.LOCAL)
    glass.pass_time(120)

    [begin], [end] = glass.begins, glass.ends
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
        event["meterValue"][0]["sampledValue"][0]["value"] for event in events if event.get("evse", {}).get("id") == 1
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

    assert glass.begins == []
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

    [end] = glass.ends
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
    [end] = glass.ends
    assert end.get("reason") == "EVDisconnected" or end["transactionInfo"]["stoppedReason"] == "EVDisconnected"


def test_a_driver_who_has_enough_stops_it(glass):
    outlet = glass.charge()
    outlet._wanted_wh = 1.0
    glass.pass_time(61)

    assert len(glass.ends) == 1
    assert glass.station.sessions[0].why is Why.LOCAL


def test_a_fault_ends_the_session_and_is_repaired(glass):
    outlet = glass.charge()
    outlet._fails_at_wh = 1.0
    glass.pass_time(61)
    assert len(glass.ends) == 1
    assert outlet.phase is Phase.FAULTED
    last = glass.office.of("StatusNotification")[-1]
    assert last.get("errorCode", "GroundFailure") == "GroundFailure"

    glass.pass_time(901)
    assert outlet.phase is Phase.AVAILABLE


def test_cars_come_by_themselves_where_the_plan_says_so(make_glass):
    glass = make_glass(V16, sessions_per_hour=60.0, session_energy_kwh=(0.1, 0.5), meter_interval_s=10.0).connect()
    glass.pass_time(1800)

    assert len(glass.begins) > 3
    assert len({begin["meterStart"] for begin in glass.begins}) > 1


def test_at_the_end_what_runs_is_ended_and_nothing_begins(make_glass):
    glass = make_glass(V16, outlets=2, sessions_per_hour=3600.0).connect()
    glass.charge(1)
    glass.station.finish(end_sessions=True)
    glass.pass_time(600)

    assert all(session.closed and session.acknowledged for session in glass.station.sessions)
    assert all(outlet.session is None for outlet in glass.station.outlets)
    assert glass.station.owes_nothing
