"""The transaction-related messages a station still owes the server, in the order they happened.

Its law: only the first is ever under way, and it leaves when it was answered (1.6 3.7.1; 2.0.1 E04, E13).
A full box forgets new meter readings, never a start or an end.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

import msgspec

from simulators.session import Session

CAPACITY = 2_000


class Kind(Enum):
    BEGIN = auto()
    METER = auto()
    END = auto()


class Letter:
    """One message on its way: sent again with the same bytes until it is answered."""

    __slots__ = ("attempts", "id", "kind", "message", "number", "payload", "session")

    def __init__(self, number: int, session: Session, kind: Kind, message: msgspec.Struct):
        self.number = number
        self.session = session
        self.kind = kind
        self.message = message
        self.payload: bytes | None = None  # Fixed when first sent.
        self.id: str | None = None
        self.attempts = 0

    @property
    def action(self) -> str:
        return type(self.message).__name__


class Mailbox:
    """The queue of one station."""

    __slots__ = ("_letters", "_posted", "forgotten", "under_way")

    def __init__(self) -> None:
        self._letters: deque[Letter] | tuple[()] = ()  # A queue while there are any: an empty one takes 760 bytes.
        self._posted = 0
        self.under_way = False
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._letters)

    def post(self, session: Session, kind: Kind, message: msgspec.Struct) -> bool:
        """Whether there was room for it."""
        if kind is Kind.METER and len(self._letters) >= CAPACITY:
            self.forgotten += 1
            return False
        self._posted += 1
        if not self._letters:
            self._letters = deque()
        self._letters.append(Letter(self._posted, session, kind, message))
        return True

    def first(self) -> Letter | None:
        """The next letter to send, or None while one is under way or nothing is owed."""
        if self.under_way or not self._letters:
            return None
        return self._letters[0]

    def settle(self) -> None:
        """The first letter needs no more care: answered, or given up."""
        self._letters.popleft()
        if not self._letters:
            self._letters = ()
