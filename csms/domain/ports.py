"""What the blocks need from outside, in the domain's own words."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from csms.domain.sessions import Session
from csms.domain.tariffs import Tariff
from csms.domain.tokens import Token
from csms.domain.unit import Unit


class StorageUnavailable(Exception):
    """Nothing can be stored now (disk full, database away). Nothing was acknowledged; what was sent will come again."""


class Outdated(StorageUnavailable):
    """Another node speaks for the station by now: nothing of this one was stored, nor will be."""


CLAIM_GRACE = timedelta(minutes=5)


class Use(NamedTuple):
    """Where a token is used: a transaction of a station. Another one at the same EVSE takes its place."""

    station_id: int
    transaction_id: str
    evse_id: int | None


class Records(Protocol):
    """What is kept. A look-up sees every unit of the station that was committed before."""

    def commit(self, unit: Unit) -> Awaitable[None]:
        """Resolves when the unit is durable; raises StorageUnavailable when it cannot be made so."""

    def token(self, operator_id: int, value: str) -> Awaitable[Token | None]: ...

    def tariff(self, operator_id: int, moment: datetime) -> Awaitable[Tariff | None]:
        """What sessions of the operator that began at this moment are billed by."""

    def session_by_start(self, station_id: int, start_key: str) -> Awaitable[Session | None]:
        """The newest session of the station that began with this key (the latest incarnation)."""

    def session_by_transaction(self, station_id: int, transaction_id: str) -> Awaitable[Session | None]:
        """The newest session of the station with this transaction id, open or closed."""

    def has_reading(self, session_id: int, sampled_at_us: int, readings: bytes) -> Awaitable[bool]:
        """Whether exactly these values of this moment are stored for the session already."""

    def reported(self, station_id: int, kind: str, keys: Collection[str]) -> Awaitable[dict[str, bytes]]:
        """What the station last said of itself under these keys; those it said nothing of are left out."""

    def noted(self, station_id: int, moments: Collection[datetime]) -> Awaitable[set[bytes]]:
        """What the station's log holds of these moments, as it was sent."""

    def serial(self, station_id: int) -> Awaitable[str | None]:
        """The station's serial number, as it told it at its last boot."""

    def claim(self, operator_id: int, token: str, use: Use, now: datetime) -> Awaitable[bool]:
        """Whether the token may be used there: nobody else uses it. True again for the same use, however often.

        A claim frees itself when its session ends or is superseded, and after `CLAIM_GRACE` when none was opened.
        """

    def next_session_id(self) -> int:
        """A new id, unique over nodes and restarts, never from the clock."""
