"""What the blocks need from outside, in the domain's own words."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from csms.domain.sessions import Session
from csms.domain.tokens import Token
from csms.domain.unit import Unit


class StorageUnavailable(Exception):
    """Nothing can be stored now (disk full, database away). Nothing was acknowledged; what was sent will come again."""


class Records(Protocol):
    """What is kept. A look-up sees every unit of the station that was committed before."""

    def commit(self, unit: Unit) -> Awaitable[None]:
        """Resolves when the unit is durable; raises StorageUnavailable when it cannot be made so."""

    def token(self, operator_id: int, value: str) -> Awaitable[Token | None]: ...

    def session_by_start(self, station_id: int, start_key: str) -> Awaitable[Session | None]:
        """The newest session of the station that began with this key (the latest incarnation)."""

    def session_by_transaction(self, station_id: int, transaction_id: str) -> Awaitable[Session | None]:
        """The newest session of the station with this transaction id, open or closed."""

    def has_reading(self, session_id: int, sampled_at_us: int, readings: bytes) -> Awaitable[bool]:
        """Whether exactly these values of this moment are stored for the session already."""

    def next_session_id(self) -> int:
        """A new id, unique over nodes and restarts, never from the clock."""
