"""Latencies, counted in buckets that grow by the same ratio."""

from __future__ import annotations

from math import ceil, log

_SMALLEST = 10e-6  # s
_RATIO = 1.02  # Neighbouring buckets: a quantile is at most 2 % too high.
_BUCKETS = 1 + ceil(log(120.0 / _SMALLEST) / log(_RATIO))
_SCALE = 1 / log(_RATIO)


class Histogram:
    """Counts of durations from 10 µs to two minutes; quantiles never flatter."""

    __slots__ = ("_counts", "total", "worst")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.total = 0
        self.worst = 0.0  # s

    def add(self, seconds: float) -> None:
        bucket = 0 if seconds <= _SMALLEST else ceil(log(seconds / _SMALLEST) * _SCALE - 1e-9)
        self._counts[min(bucket, _BUCKETS - 1)] += 1
        self.total += 1
        if seconds > self.worst:
            self.worst = seconds

    def merge(self, other: Histogram) -> None:
        """Count what the other has counted, too."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self.total += other.total
        self.worst = max(self.worst, other.worst)

    def quantile(self, share: float) -> float:
        """The duration (s) within which at least `share` of all lie: their bucket's upper edge; 0 of none."""
        wanted, seen = ceil(share * self.total), 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_SMALLEST * _RATIO**bucket, self.worst)
        return 0.0
