"""Sessions: the rules money rests on hold for any order and any repetition of what a station tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.sessions import (
    BEGIN,
    END,
    METER_FELL,
    NO_START,
    REFUSED,
    SUPERSEDED,
    WITHIN,
    Mark,
    Reading,
    Session,
    closed,
    flagged,
    metered,
    with_seq,
)  # fmt: skip

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def session(**fields) -> Session:
    given = {"id": 7, "transaction_id": "7", "start_key": "k", "version": "1.6", "started_at": NOON}
    return Session(**given | {"received_at": NOON} | fields)


def reading(minutes: float, wh: float | None = None, place: int = WITHIN, **fields) -> Reading:
    return Reading(at(minutes), (), wh, place=place, **fields)


readings = st.builds(
    reading,
    st.integers(0, 5),
    st.none() | st.integers(0, 5).map(float),
    st.sampled_from([BEGIN, WITHIN, END]),
    power_w=st.none() | st.integers(0, 9).map(float),
)


def bill(session: Session) -> tuple:
    return session.first, session.last, session.energy_wh, frozenset(session.flags)


@given(st.data(), st.lists(readings, max_size=6))
def test_metering_does_not_depend_on_order_or_repeats(data: st.DataObject, sent: list[Reading]):
    again = data.draw(st.lists(st.sampled_from(sent), max_size=4)) if sent else []
    arrived = data.draw(st.permutations([*sent, *again]))
    one_by_one = session()
    for item in arrived:
        one_by_one = metered(one_by_one, [item])
    assert bill(one_by_one) == bill(metered(session(), sent))


@given(st.lists(readings, max_size=6))
def test_energy_is_never_negative(sent: list[Reading]):
    assert metered(session(), sent).energy_wh >= 0


def test_energy_is_the_difference_of_latest_and_earliest_register():
    running = metered(session(), [reading(1, 1_000.0), reading(3, 4_500.0), reading(2, 2_000.0)])
    assert running.energy_wh == 3_500.0


def test_energy_is_nothing_without_a_register():
    assert metered(session(), [reading(1, power_w=5.0)]).energy_wh == 0.0


def test_begin_and_end_stand_before_and_after_all_times():
    """A station whose clock jumped still bills from its begin to its end."""
    running = metered(session(), [reading(9, 10.0, BEGIN), reading(5, 20.0), reading(0, 30.0, END)])
    assert (running.first, running.last) == (Mark(BEGIN, at(9), 10.0), Mark(END, at(0), 30.0))


def test_T15_register_that_fell_is_flagged_and_not_billed():
    fallen = metered(session(), [reading(0, 500.0, BEGIN), reading(1, 100.0, END)])
    assert fallen.energy_wh == 0.0
    assert fallen.flags == (METER_FELL,)


def test_flag_of_a_fallen_register_goes_when_a_later_reading_explains_it():
    fallen = metered(session(flags=(REFUSED,)), [reading(0, 500.0), reading(1, 100.0)])
    assert METER_FELL in fallen.flags
    assert metered(fallen, [reading(2, 700.0)]).flags == (REFUSED,)


def test_T59_batch_without_energy_keeps_the_last_register():
    running = metered(session(), [reading(0, 100.0), reading(1, 300.0)])
    assert metered(running, [reading(2, soc=55.0)]).energy_wh == 200.0


def test_T59_zero_is_a_valid_baseline():
    assert metered(session(), [reading(0, 0.0, BEGIN), reading(1, 250.0)]).energy_wh == 250.0


def test_power_and_charge_are_those_of_the_latest_reading():
    running = metered(session(), [reading(2, 10.0, power_w=7_000.0, soc=40.0)])
    late = metered(running, [reading(1, 5.0, power_w=1.0, soc=1.0)])
    assert (late.power_w, late.soc) == (7_000.0, 40.0)


def test_ended_session_draws_no_power_whatever_comes_late():
    ended = closed(metered(session(), [reading(1, 10.0, power_w=7_000.0)]), at(2), "Local")
    assert ended.power_w is None
    assert metered(ended, [reading(1.5, 20.0, power_w=6_000.0)]).power_w is None


def test_digest_of_the_latest_message_is_kept():
    assert metered(session(last_digest=1), [], 2).last_digest == 2
    assert metered(session(last_digest=1), []).last_digest == 1


def test_session_is_open_until_its_end_is_reported():
    running = session(phase="charging")
    ended = closed(running, at(5), "Local", "TAG")
    assert running.is_open and not ended.is_open
    assert (ended.phase, ended.stop_reason, ended.stop_token) == ("ended", "Local", "TAG")


def test_T11_first_end_stands():
    ended = closed(session(), at(5), "Local")
    assert closed(ended, at(9), "Remote") is ended


def test_T09_reported_end_takes_back_that_it_was_superseded():
    assert closed(session(flags=(SUPERSEDED, REFUSED)), at(5), "Local").flags == (REFUSED,)


def test_flag_is_put_once():
    once = flagged(session(), REFUSED)
    assert once.flags == (REFUSED,)
    assert flagged(once, REFUSED) is once


@pytest.mark.parametrize(
    ("fields", "complete"),
    [
        ({}, False),
        ({"ended_at": at(1)}, True),
        ({"ended_at": at(1), "flags": (NO_START,)}, False),
        ({"version": "2.0.1", "ended_at": at(1)}, False),
        ({"version": "2.0.1", "ended_at": at(1), "start_seq": 0}, False),
        ({"version": "2.0.1", "ended_at": at(1), "start_seq": 0, "end_seq": 3, "seen": ((0, 3),)}, True),
        ({"version": "2.0.1", "ended_at": at(1), "start_seq": 0, "end_seq": 3, "seen": ((0, 1), (3, 3))}, False),
        ({"version": "2.0.1", "ended_at": at(1), "start_seq": 4, "end_seq": 6, "seen": ((0, 0), (4, 9))}, True),
    ],
)
def test_T19_session_is_complete_only_without_a_gap(fields, complete):
    assert session(**fields).complete is complete


@given(st.lists(st.integers(0, 30)))
def test_seq_ranges_are_a_set_of_numbers(numbers: list[int]):
    seen: tuple[tuple[int, int], ...] = ()
    for number in numbers:
        seen = with_seq(seen, number)
    assert {number for low, high in seen for number in range(low, high + 1)} == set(numbers)
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(seen)), "merged and in order"
    assert all(session(seen=seen).has_seen(number) is (number in numbers) for number in range(31))
