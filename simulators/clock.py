"""Simulated time: faster than the wall's, and never ahead of it.

Its law: a time it tells lies in the past of the real now, so no server reads a timestamp from its future. A
fast clock therefore starts in the past, by what it will gain during the run; should it catch up, it walks on
with the real one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

BEHIND = 0.1  # Seconds kept between the wall and us: room for a burst of strictly rising milliseconds.


class Handle(Protocol):
    def cancel(self) -> None: ...


def cancelled(handle: Handle | None) -> None:
    """Cancel what may be under way: `self._timer = cancelled(self._timer)`."""
    if handle is not None:
        handle.cancel()


class _Entry(list):
    """[when (s, monotonic), number, what to do, its arguments]; a list, as lists are compared fast."""

    __slots__ = ()

    def cancel(self) -> None:
        self[2:] = None, ()


class Clock:
    """The time of one run: `speed` simulated seconds pass in a real one, over about `span` real seconds.

    All that waits for a time waits in one heap, behind one timer of the loop: 150 bytes each, where a timer takes 500.
    """

    __slots__ = ("_due", "_loop", "_numbers", "_origin", "_start", "_timer", "_zero", "speed")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        speed: float = 1.0,
        span: float = 0.0,
        wall: Callable[[], float] = time.time,
    ):
        self._loop = loop
        self._zero = time.monotonic()  # The loop's own time may be a millisecond coarse and older than now.
        self._start = wall() - BEHIND
        self._origin = self._start - (speed - 1) * span
        self.speed = speed
        self._due: list[_Entry] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Simulated time in seconds since the epoch."""
        passed = time.monotonic() - self._zero
        return min(self._origin + passed * self.speed, self._start + passed)

    def wall(self) -> float:
        """Real, monotonic seconds: for deadlines of the protocol, which no simulation makes shorter."""
        return time.monotonic()

    def later(self, seconds: float, do: Callable[..., Any], *args: Any) -> Handle:
        """Call `do` after so many simulated seconds."""
        return self.later_wall(seconds / self.speed, do, *args)

    def later_wall(self, seconds: float, do: Callable[..., Any], *args: Any) -> Handle:
        """Call `do` after so many real seconds."""
        entry = _Entry((self.wall() + seconds, next(self._numbers), do, args))
        heappush(self._due, entry)
        if self._due[0] is entry:
            self._wait()
        return entry

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, self._due[0][0] - self.wall()), self._wake)

    def _wake(self) -> None:
        self._timer, now = None, self.wall()
        while self._due and self._due[0][0] <= now:
            self._loop.call_soon(_do, heappop(self._due))
        if self._due:
            self._wait()


def _do(entry: _Entry) -> None:
    _, _, do, args = entry
    if do is not None:  # Else it was cancelled.
        do(*args)
