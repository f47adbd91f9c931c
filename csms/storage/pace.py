"""When the next commit may begin: soon, but not so soon that each message pays for a commit of its own."""

from __future__ import annotations

APART = 0.006  # s between the beginnings of two commits, where waiting lets them be shared.
FRUITLESS = 50  # Commits that do not wait after one that waited for nothing.


class Pace:
    """Spaces commits under a steady load, when a commit and its sync cost more than the messages in it.

    After a pause a commit begins at once, and also where waiting has just brought nothing: whoever sends one message
    after the other is not held up. Under a heavy load there is nothing to wait for: commits take longer than `APART`.
    """

    __slots__ = ("_began", "_held", "_skip")

    def __init__(self) -> None:
        self._began = float("-inf")
        self._held: int | None = None  # How many waited when it was decided to wait.
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
        if self._held is not None and waiting <= self._held:
            self._skip = FRUITLESS
        self._held = None
        self._began = now
