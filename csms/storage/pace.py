"""When the next commit may begin: soon, but not so soon that each message pays for a commit of its own."""

from __future__ import annotations

APART = 0.01  # s between the beginnings of two commits, where waiting lets them be shared.
FRUITLESS = 64  # Commits that do not wait, at most, after one that waited for nothing.


class Pace:
    """Spaces commits under a steady load, when a commit and its sync cost more than the messages in it.

    After a pause a commit begins at once, and also where waiting brings nothing: after the first wait in vain one commit
    does not wait, then two, four … until a wait brings company. So whoever sends one message after the other is hardly
    ever held up, and a gap in a steady load changes nothing. Under a heavy load there is nothing to wait for: commits take longer than `APART`.
    """

    __slots__ = ("_began", "_held", "_in_vain", "_skip")

    def __init__(self) -> None:
        self._began = float("-inf")
        self._held: int | None = None  # How many waited when it was decided to wait.
        self._in_vain = 0  # How many commits did not wait after the latest wait for nothing.
        self._skip = 0

    def wait(self, now: float, waiting: int) -> float:
        """Seconds until the commit of what waits should begin; 0: now."""
        left = self._began + APART - now
        if left <= 0:
            return 0.0
        if self._skip:
            self._skip -= 1
            return 0.0
        self._held = waiting
        return left

    def begin(self, now: float, waiting: int) -> None:
        """A commit begins now, with so many of those that waited."""
        if self._held is not None:
            self._in_vain = min(2 * self._in_vain or 1, FRUITLESS) if waiting <= self._held else 0
            self._skip = self._in_vain
        self._held = None
        self._began = now
