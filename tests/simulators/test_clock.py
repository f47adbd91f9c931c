"""Simulated time is fast and never from the future."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from simulators.clock import Clock


class StillLoop:
    """A loop that only remembers what it was asked; `ring` is the timer it was asked for last."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.soon: list[Callable] = []

    def call_later(self, delay, do):
        self.asked.append(delay)
        self.ring = do
        return Handle()

    def call_soon(self, do, *args):
        self.soon.append(partial(do, *args))

    def turn(self):
        """Call what was asked for soon."""
        while self.soon:
            self.soon.pop(0)()


class Handle:
    def cancel(self):
        pass


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


def test_simulated_waits_are_shortened_and_real_ones_are_not(passing):
    loop = StillLoop()
    clock = Clock(loop, speed=20.0, span=10.0)
    clock.later_wall(60.0, print)
    clock.later(60.0, print)

    assert loop.asked == [60.0, 3.0]


def test_what_waits_is_called_in_the_order_of_its_times(passing):
    loop, called = StillLoop(), []
    clock = Clock(loop, wall=lambda: 5000.0)
    for seconds in (2.0, 1.0, 3.0, 1.0):
        clock.later_wall(seconds, called.append, (seconds, len(loop.asked)))
    passing[0] += 2.0
    loop.ring()
    loop.turn()

    assert [seconds for seconds, _ in called] == [1.0, 1.0, 2.0]
    assert loop.asked[-1] == pytest.approx(1.0)  # Until what is left.


def test_what_was_cancelled_is_never_called_even_in_the_same_turn(passing):
    loop, called = StillLoop(), []
    clock = Clock(loop, wall=lambda: 5000.0)
    handles = []
    clock.later_wall(1.0, lambda: handles[0].cancel())
    handles += clock.later_wall(1.0, called.append, "same turn"), clock.later_wall(2.0, called.append, "later")
    handles[1].cancel()
    passing[0] += 5.0
    loop.ring()
    loop.turn()

    assert called == []


async def test_what_is_due_is_called_with_its_arguments():
    called = asyncio.get_running_loop().create_future()
    Clock(asyncio.get_running_loop(), speed=1000.0).later(1.0, called.set_result, "now")

    assert await called == "now"
