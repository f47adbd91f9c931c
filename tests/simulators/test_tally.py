"""What a fleet counts."""

from __future__ import annotations

import pytest

from simulators.tally import Tally


def test_latencies_are_told_by_quantile():
    counts = Tally()
    for milliseconds in range(1, 102):
        counts.took(milliseconds / 1000)

    assert counts.latency_ms(0.0, 0.5, 1.0) == pytest.approx([1.0, 51.0, 101.0], rel=0.02)
    assert counts.answered == 101


def test_without_answers_there_is_no_latency():
    assert Tally().latency_ms(0.5, 0.99) == [None, None]


def test_the_peak_of_connections_outlives_them():
    counts = Tally()
    for change in (+1, +1, -1, +1, -1, -1):
        counts.connection(change)

    assert (counts.connected, counts.peak) == (0, 2)
