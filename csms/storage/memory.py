"""Records kept in memory, for tests: the promises of the real ones, and a disk that fails or waits when told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from itertools import count
from typing import Any, TypeVar

import msgspec

from csms.domain.events import AnyEvent
from csms.domain.ports import CLAIM_GRACE, Use
from csms.domain.sessions import STUCK, Reading, Session
from csms.domain.stations import Connector, ConnectorRef, Station
from csms.domain.tariffs import Tariff, tariff_at
from csms.domain.tokens import Token, folded
from csms.domain.unit import Noted, Unit, Unmatched
from csms.storage.records import Known
from csms.storage.tables import to_us

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class Duplicate(Exception):
    """A session of this id, or one that began alike, is kept already."""


class MemoryRecords:
    """`csms.domain.ports.Records` and what the gateway asks for besides; every answer comes on the next loop turn.

    `fault` judges each unit before it is kept: the exception it returns is what its commit raises.
    """

    def __init__(self) -> None:
        self.failing = False
        self.fault: Callable[[Unit], Exception | None] = lambda unit: None
        self.commits = 0
        self.known_stations: dict[tuple[str, str], Known] = {}
        self.tokens: dict[tuple[int, str], Token] = {}
        self.tariffs: dict[int, list[Tariff]] = {}  # By operator, in the order of their beginning.
        self.sessions: dict[int, tuple[int, Session]] = {}  # Our id → (station, session).
        self.connectors: dict[int, dict[ConnectorRef, Connector]] = {}
        self.samples: list[tuple[int, int | None, Reading]] = []  # (station, session, reading)
        self.unmatched: list[Unmatched] = []
        self.latest: dict[tuple[int, str, str], bytes] = {}  # (station, kind, key) → what it last said.
        self.reservations: dict[tuple[int, int], tuple[str, int | None]] = {}  # (station, number) → what became of it.
        self.log: list[tuple[int, Noted]] = []
        self.claims: dict[tuple[int, str], tuple[Use, datetime]] = {}
        self.events: list[AnyEvent] = []
        self.online: dict[int, bool] = {}
        self._ids = count(1)
        self._held: list[tuple[Unit, asyncio.Future[None]]] | None = None

    # What a test arranges.

    def add_station(self, identity: str, *, operator: str = "default", operator_id: int = 1, **fields: Any) -> Known:
        known = Known(
            id=len(self.known_stations) + 1, operator_id=operator_id, operator=operator, identity=identity,
            password_hash=fields.pop("password_hash", None), admission=fields.pop("admission", "accepted"),
            registration=fields.pop("registration", None), strict=fields.pop("strict", False), next_transaction=1, **fields,
        )  # fmt: skip
        self.known_stations[operator, identity] = known
        return known

    def add_token(self, operator_id: int, token: Token) -> None:
        self.tokens[operator_id, folded(token.value)] = token

    def hold(self) -> None:
        """Let commits wait until `release`."""
        self._held = []

    @property
    def held(self) -> int:
        return len(self._held or ())

    def release(self) -> None:
        held, self._held = self._held or [], None
        for unit, future in held:
            self._keep(unit, future)

    # What the blocks and the gateway ask.

    def commit(self, unit: Unit) -> Awaitable[None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._held is not None:
            self._held.append((unit, future))
        else:
            loop.call_soon(self._keep, unit, future)
        return future

    def next_session_id(self) -> int:
        return next(self._ids)

    def known(self, operator: str, identity: str) -> Awaitable[Known | None]:
        return _soon(self.known_stations.get((operator, identity)))

    async def station_proven(self, known: Known, columns: dict[str, Any]) -> None:
        place = (known.operator, known.identity)
        self.known_stations[place] = msgspec.structs.replace(self.known_stations[place], **columns)

    async def station(self, known: Known, held: Station | None = None) -> Station:
        if held is not None:
            return held
        station = Station(known.id, known.operator_id, known.operator, known.identity)
        station.admission = known.admission
        station.registration = known.registration
        station.strict = known.strict
        station.next_transaction = known.next_transaction
        station.connectors = dict(self.connectors.get(known.id, {})) or None
        running = {
            id: session for id, (owner, session) in self.sessions.items() if owner == known.id and session.is_open
        }
        station.sessions = running or None
        starts = [session.started_at for owner, session in self.sessions.values() if owner == known.id]
        station.newest_start = max(starts, default=None)
        return station

    def token(self, operator_id: int, value: str) -> Awaitable[Token | None]:
        return _soon(self.tokens.get((operator_id, folded(value))))

    def tariff(self, operator_id: int, moment: datetime) -> Awaitable[Tariff | None]:
        return _soon(tariff_at(self.tariffs.get(operator_id, []), moment))

    def session_by_start(self, station_id: int, start_key: str) -> Awaitable[Session | None]:
        return self._newest(station_id, lambda session: session.start_key == start_key)

    def session_by_transaction(self, station_id: int, transaction_id: str) -> Awaitable[Session | None]:
        return self._newest(station_id, lambda session: session.transaction_id == transaction_id)

    def has_reading(self, session_id: int, sampled_at_us: int, readings: bytes) -> Awaitable[bool]:
        return _soon(
            any(
                session == session_id and to_us(reading.at) == sampled_at_us and _encode(reading.samples) == readings
                for _, session, reading in self.samples
            )
        )

    def reported(self, station_id: int, kind: str, keys: Collection[str]) -> Awaitable[dict[str, bytes]]:
        found = {key: self.latest.get((station_id, kind, key)) for key in keys}
        return _soon({key: data for key, data in found.items() if data is not None})

    def noted(self, station_id: int, moments: Collection[datetime]) -> Awaitable[set[bytes]]:
        return _soon({note.data for station, note in self.log if station == station_id and note.at in moments})

    def serial(self, station_id: int) -> Awaitable[str | None]:
        known = next((each for each in self.known_stations.values() if each.id == station_id), None)
        return _soon(known and known.serial)

    def claim(self, operator_id: int, token: str, use: Use, now: datetime) -> Awaitable[bool]:
        key = (operator_id, folded(token))
        held, since = self.claims.get(key, (use, now))
        if not (self._same_place(held, use) or self._is_free(held, since < now - CLAIM_GRACE)):
            return _soon(False)
        self.claims[key] = (use, now)
        return _soon(True)

    @staticmethod
    def _same_place(held: Use, use: Use) -> bool:
        same_evse = use.evse_id is not None and held.evse_id == use.evse_id
        return held.station_id == use.station_id and (held.transaction_id == use.transaction_id or same_evse)

    def _is_free(self, held: Use, stale: bool) -> bool:
        begun = [
            session for owner, session in self.sessions.values()
            if owner == held.station_id and session.transaction_id == held.transaction_id
        ]  # fmt: skip
        running = any(session.is_open and STUCK.isdisjoint(session.flags) for session in begun)
        return not running and (stale or bool(begun))

    def _newest(self, station_id: int, matches: Callable[[Session], bool]) -> Awaitable[Session | None]:
        found = [session for owner, session in self.sessions.values() if owner == station_id and matches(session)]
        return _soon(max(found, key=lambda session: session.id, default=None))

    def _keep(self, unit: Unit, future: asyncio.Future[None]) -> None:
        if future.done():
            return
        error = self.fault(unit) or self._conflict(unit)
        if error is not None:
            future.set_exception(error)
            return
        self._write(unit)
        self.commits += 1
        future.set_result(None)

    def _conflict(self, unit: Unit) -> Exception | None:
        begun = {(owner, kept.start_key, kept.incarnation) for owner, kept in self.sessions.values()}
        for session in unit.opened:
            if session.id in self.sessions or (unit.station.id, session.start_key, session.incarnation) in begun:
                return Duplicate(f"session {session.id}")
        return None

    def _write(self, unit: Unit) -> None:
        station = unit.station
        for session in (*unit.opened, *unit.changed):
            self.sessions[session.id] = (station.id, session)
        for connector in unit.connectors:
            self.connectors.setdefault(station.id, {})[connector.ref] = connector
        for metered in unit.metered:
            self.samples.extend((station.id, metered.session_id, reading) for reading in metered.readings)
        self.unmatched.extend(unit.unmatched)
        self.latest.update({(station.id, report.kind, report.key): report.data for report in unit.reported})
        for moved in unit.reservations:
            self.reservations[station.id, moved.reservation_id] = moved.status, moved.session_id
        self.log.extend((station.id, note) for note in unit.noted)
        self.events.extend(unit.events)
        if unit.connection is not None:
            self.online[station.id] = isinstance(unit.connection, tuple)
        self._remember(unit)

    def _remember(self, unit: Unit) -> None:
        place = (unit.station.operator, unit.station.identity)
        known = self.known_stations.get(place)
        if known is not None:
            self.known_stations[place] = msgspec.structs.replace(
                known,
                registration=unit.registration or known.registration,
                next_transaction=unit.next_transaction or known.next_transaction,
            )


def _soon(result: T) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    loop.call_soon(_resolve, future, result)
    return future


def _resolve(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
