"""Simulated time is fast and never from the future."""

from __future__ import annotations

import asyncio

import pytest

from simulators.clock import Clock


class StillLoop:
    """A loop that only remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def call_later(self, delay, do, *args):
        self.asked.append(delay)


@pytest.fixture
def passing(monkeypatch):
    """Real seconds, by hand."""
    seconds = [1000.0]
    monkeypatch.setattr("simulators.clock.time.monotonic", lambda: seconds[0])
    return seconds


@pytest.mark.parametrize("speed", [1.0, 10.0, 600.0])
def test_it_reaches_the_present_at_the_end_of_its_span_and_not_before(passing, speed):
    clock = Clock(StillLoop(), speed=speed, span=60.0, wall=lambda: 5000.0)
    seen = []
    for _ in range(61):
        now = passing[0] - 1000.0 + 5000.0
        assert clock.now() < now
        seen.append(clock.now())
        passing[0] += 1.0

    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(5060.0, abs=0.2)
    assert seen[1] - seen[0] == pytest.approx(speed)


def test_after_its_span_it_walks_with_the_wall(passing):
    clock = Clock(StillLoop(), speed=100.0, span=10.0, wall=lambda: 5000.0)
    passing[0] += 500.0

    assert clock.now() == pytest.approx(5500.0, abs=0.2)
    assert clock.now() < 5500.0


def test_simulated_waits_are_shortened_and_real_ones_are_not():
    loop = StillLoop()
    clock = Clock(loop, speed=20.0, span=10.0)
    clock.later(60.0, print)
    clock.later_wall(60.0, print)

    assert loop.asked == [3.0, 60.0]


async def test_what_is_due_is_called_with_its_arguments():
    called = asyncio.get_running_loop().create_future()
    Clock(asyncio.get_running_loop(), speed=1000.0).later(1.0, called.set_result, "now")

    assert await called == "now"
