"""How many cars come at which hour of the day."""

from __future__ import annotations

from collections.abc import Sequence

_HOUR, _DAY = 3600.0, 86_400.0


class Demand:
    """A factor on each station's average, by the hour of its day; even without hours."""

    __slots__ = ("_factors", "_shift", "peak")

    def __init__(self, hours: Sequence[float] = (), level: float = 1.0, zone_h: float = 8.0):
        """`hours`: 24 shares of a day's sessions; `level`: of the whole day (2: a holiday); `zone_h`: hours from UTC."""
        total = sum(hours)
        self._factors = tuple(level * 24 * share / total for share in hours) or (level,) * 24
        self._shift = zone_h * _HOUR
        self.peak = max(self._factors)  # Of the day: cars are drawn at this rate, then thinned out.

    def at(self, now: float) -> float:
        """The factor at a time (s since 1970 UTC)."""
        return self._factors[int((now + self._shift) % _DAY // _HOUR)]
