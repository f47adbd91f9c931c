"""Simulated time: faster than the wall's, and never ahead of it.

Its law: a time it tells lies in the past of the real now, so no server reads a timestamp from its future. A
fast clock therefore starts in the past, by what it will gain during the run; should it catch up, it walks on
with the real one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

BEHIND = 0.1  # Seconds kept between the wall and us: room for a burst of strictly rising milliseconds.


class Handle(Protocol):
    def cancel(self) -> None: ...


def cancelled(handle: Handle | None) -> None:
    """Cancel what may be under way: `self._timer = cancelled(self._timer)`."""
    if handle is not None:
        handle.cancel()


class Clock:
    """The time of one run: `speed` simulated seconds pass in a real one, over about `span` real seconds."""

    __slots__ = ("_loop", "_origin", "_start", "_zero", "speed")

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

    def now(self) -> float:
        """Simulated time in seconds since the epoch."""
        passed = time.monotonic() - self._zero
        return min(self._origin + passed * self.speed, self._start + passed)

    def wall(self) -> float:
        """Real, monotonic seconds: for deadlines of the protocol, which no simulation makes shorter."""
        return time.monotonic()

    def later(self, seconds: float, do: Callable[..., Any], *args: Any) -> Handle:
        """Call `do` after so many simulated seconds."""
        return self._loop.call_later(seconds / self.speed, do, *args)

    def later_wall(self, seconds: float, do: Callable[..., Any], *args: Any) -> Handle:
        """Call `do` after so many real seconds."""
        return self._loop.call_later(seconds, do, *args)
