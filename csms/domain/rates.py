"""How often is too often: token buckets for a bounded number of keys.

Pure: it is told the time (monotonic seconds). The oldest keys give way; being forgotten is being free again, so a flood of
names costs no memory.
"""

from __future__ import annotations

from collections.abc import Hashable


class Meter:
    """So many a second for each key, `burst` of them at once: a token bucket that is one number, when it is full again."""

    __slots__ = ("_full_at", "_interval", "_most", "_slack")

    def __init__(self, rate: float, burst: float = 1, most: int = 65_536):
        """`rate` 0: no limit."""
        self._interval = 1 / rate if rate else 0.0
        self._slack = (burst - 1) * self._interval
        self._most = most
        self._full_at: dict[Hashable, float] = {}

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until `key` may again; 0: it may now."""
        return max(0.0, self._full_at.get(key, 0.0) - now - self._slack)

    def take(self, key: Hashable, now: float) -> None:
        """Count one, whether it was allowed or not."""
        if self._interval:
            full_at = max(self._full_at.pop(key, 0.0), now)
            keep(self._full_at, key, full_at + self._interval, self._most)

    def give_back(self, key: Hashable) -> None:
        """What was counted last does not count."""
        if key in self._full_at:
            self._full_at[key] -= self._interval

    def __len__(self) -> int:
        return len(self._full_at)


def keep(table: dict, key: Hashable, value: object, most: int) -> None:
    """Add to `table` as the newest; the oldest gives way."""
    table[key] = value
    if len(table) > most:
        del table[next(iter(table))]
