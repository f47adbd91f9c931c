"""Latencies are counted in buckets, and percentiles read from them."""

import random

import pytest

from simulators.histogram import Histogram


def filled(durations):
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    return histogram


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 0.999])
def test_a_quantile_is_at_most_two_percent_above_the_exact_one(share):
    draw = random.Random(1)
    durations = sorted(draw.lognormvariate(-6, 1.5) for _ in range(5_000))
    exact = durations[-(-int(share * 5_000 * 1000) // 1000) - 1]
    assert exact <= filled(durations).quantile(share) <= exact * 1.0201


def test_the_highest_quantile_is_the_worst():
    assert filled([0.001, 0.002, 0.0333]).quantile(1.0) == 0.0333


def test_one_slow_answer_in_a_hundred_does_not_hide_from_p99_of_fifty():
    assert filled([0.001] * 49 + [1.0]).quantile(0.99) == 1.0
    assert filled([0.001] * 99 + [1.0]).quantile(0.99) == pytest.approx(0.001, rel=0.02)


def test_what_is_outside_the_range_is_counted_at_its_edge():
    histogram = filled([0.0, 1e-7, 500.0])
    assert histogram.total == 3
    assert histogram.quantile(0.5) == pytest.approx(10e-6)
    assert histogram.worst == 500.0


def test_an_empty_histogram_has_no_latency():
    assert Histogram().quantile(0.99) == 0.0
