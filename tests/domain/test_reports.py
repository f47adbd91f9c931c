"""Reports in parts: whole when nothing is missing, in whatever order; bounded, and not for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.reports import EXPIRES_AFTER, MOST_GAPS, MOST_PARTS, Report, continued, with_part

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def told(numbers: list[int], last: int) -> Report:
    report = Report(NOON)
    for number in numbers:
        report = with_part(report, number, number == last, NOON) or report
    return report


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=4))
def test_T85_report_is_whole_in_any_order_and_with_repeats(order: list[int], again: list[int]):
    assert told([*order, *again], last=5).complete


@pytest.mark.parametrize("numbers", [[0, 1, 2], [1, 2, 3], [0, 2, 3], [3], []])
def test_T85_report_with_a_gap_or_without_its_last_part_is_not_whole(numbers):
    assert not told(numbers, last=3).complete


def test_single_part_is_a_whole_report():
    assert told([0], last=0).complete


def test_parts_without_numbers_get_the_next():
    assert (Report(NOON).next, told([0, 1], last=9).next) == (0, 2)


@pytest.mark.parametrize("number", [-1, MOST_PARTS, 2**40])
def test_I7_part_beyond_the_bounds_is_not_taken(number):
    assert with_part(Report(NOON), number, False, NOON) is None


def test_I7_report_with_too_many_gaps_is_not_taken():
    report = told([*range(0, 2 * MOST_GAPS, 2)], last=-1)
    assert with_part(report, 2 * MOST_GAPS, False, NOON) is None
    assert with_part(report, 1, False, NOON) is not None, "closing one is welcome"


@pytest.mark.parametrize(
    ("late", "goes_on"), [(timedelta(0), True), (EXPIRES_AFTER, True), (EXPIRES_AFTER * 1.01, False)]
)
def test_I7_report_that_nobody_goes_on_with_expires(late, goes_on):
    report = told([0], last=9)
    assert continued(report, NOON + late) == (report if goes_on else Report(NOON + late))


def test_first_part_begins_a_report():
    assert continued(None, NOON) == Report(NOON)


def test_T85_report_with_a_missing_part_times_out_and_a_whole_one_does_not():
    late = NOON + EXPIRES_AFTER * 1.01
    assert [told([1, 0], last=1).state(moment) for moment in (NOON, late)] == ["complete", "complete"]
    assert [told([0], last=9).state(moment) for moment in (NOON, late)] == ["partial", "timed_out"], "its last"
    assert told([1], last=1).state(late) == "timed_out", "its first"
    assert Report(NOON).state(late) == "timed_out", "all of it"
