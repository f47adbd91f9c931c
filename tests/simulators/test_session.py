"""What a station believes about a session, from its first reading to its last."""

from __future__ import annotations

from datetime import UTC, datetime

from simulators.session import Reading, Session, Why

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_energy_is_the_difference_of_the_registers_once_it_has_ended():
    session = Session(1, 2, "TAG", Reading(NOON, 1000, 0.0, None), transaction_id="7")
    assert (session.closed, session.energy_wh) == (False, None)
    session.end = Reading(NOON.replace(hour=13), 6500, 0.0, None)
    session.why = Why.LOCAL
    assert (session.closed, session.energy_wh) == (True, 5500)


def test_belief_says_whose_session_it_was_and_what_was_answered():
    session = Session(1, 2, "TAG", Reading(NOON, 1000, 0.0, None), transaction_id="7")
    belief = session.belief(operator="default", station="CS-1", version="1.6")
    assert (belief["station"], belief["connector"], belief["transaction_id"]) == ("CS-1", 2, "7")
    assert (belief["meter_start_wh"], belief["meter_stop_wh"], belief["closed"], belief["acknowledged"]) == (
        1000,
        None,
        False,
        False,
    )
