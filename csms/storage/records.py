"""The records the blocks and the gateway ask for: look-ups in batches, commits in groups."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from csms.domain.ports import CLAIM_GRACE, StorageUnavailable, Use
from csms.domain.sessions import Session
from csms.domain.stations import Connector, Station
from csms.domain.tariffs import Tariff, tariff_at
from csms.domain.tokens import Token, folded
from csms.domain.unit import Unit
from csms.storage.batched import Batched
from csms.storage.commands import end_forgotten
from csms.storage.database import Database
from csms.storage.dialect import first_number, first_text, insert, pairs, second_text
from csms.storage.history import gone_offline
from csms.storage.nodes import Claimed
from csms.storage.place import remedy
from csms.storage.rows import session_from
from csms.storage.tables import (
    connectors,
    counters,
    operators,
    reported,
    sessions,
    station_log,
    stations,
    tariffs,
    to_us,
    tokens,
)  # fmt: skip

_IDS_PER_START = 1 << 32
_encode = msgspec.json.Encoder().encode
_TOKEN_KEPT = 3.0  # s that a token is not looked up again: a change on another node counts within seconds.
_MOST_RECENT_TOKENS = 50_000

log = structlog.get_logger()


class Known(msgspec.Struct, frozen=True):
    """A station as its arrival needs it: for the handshake, and then for its hot state.

    `password_hash` None: it need not identify itself.
    """

    id: int
    operator_id: int
    operator: str
    identity: str
    password_hash: bytes | None
    admission: str
    registration: str | None
    strict: bool
    next_transaction: int
    password_next: bytes | None = None
    security_profile: int | None = None
    serial: str | None = None
    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
    connectors: tuple[Connector, ...] = ()
    newest_start: datetime | None = None  # Of any session it ever had.
    sessions: tuple[Session, ...] = ()  # The open ones.


class Records:
    """What is kept, seen from the gateway and the blocks (`csms.domain.ports.Records`)."""

    def __init__(self, database: Database, ids: Iterable[int]):
        self._database = database
        self._ids = iter(ids)
        self.claim_stations: Callable[[list[int]], Awaitable[dict[int, Claimed]]] | None = None  # Of several nodes.
        self._claims = Batched("claims", lambda ids: self.claim_stations(ids))
        self._stations = Batched("stations", self._load_stations)
        self._tokens = Batched("tokens", self._load_tokens)
        self._by_start = Batched("sessions-by-start", self._load_by_start)
        self._by_transaction = Batched("sessions-by-transaction", self._load_by_transaction)
        self._recent_tariffs: dict[int, tuple[float, list[Tariff]]] = {}  # By operator, as tokens.
        self._recent_tokens: dict[tuple[int, str], tuple[float, Token]] = {}  # (until when, s monotonic; token)

    @property
    def failing(self) -> bool:
        return self._database.writer.failing

    def commit(self, unit: Unit) -> Awaitable[None]:
        return self._database.writer.commit(unit)

    def next_session_id(self) -> int:
        return next(self._ids)

    def known(self, operator: str, identity: str) -> Awaitable[Known | None]:
        return self._stations.find((operator, identity))

    def station_proven(self, known: Known, columns: dict[str, Any]) -> Awaitable[None]:
        """What a connection has proven of a station is kept before it counts."""
        change = sa.update(stations).where(stations.c.id == known.id).values(columns)
        return self._database.writer.run(lambda connection: connection.execute(change) and None)

    async def station(self, known: Known, held: Station | None = None) -> Station:
        """The hot state of a station that was admitted: `held`, what this process has of it, where that still holds."""
        if self.claim_stations is None:
            return held or await self._loaded(known, 0)
        claimed = await self._claims.find(known.id)
        if claimed is None:
            raise StorageUnavailable("the other nodes take this one for lost")
        if held is not None and held.epoch == claimed.epoch:
            return held
        # Another node may have had it meanwhile: read anew what was read before it was ours.
        return await self._loaded(await self.known(known.operator, known.identity) or known, claimed.epoch)

    async def _loaded(self, known: Known, epoch: int) -> Station:
        station = Station(known.id, known.operator_id, sys.intern(known.operator), known.identity)
        station.epoch = epoch
        station.admission = sys.intern(known.admission)
        station.registration = sys.intern(known.registration) if known.registration else None
        station.strict = known.strict
        station.next_transaction = known.next_transaction
        station.newest_start = known.newest_start
        station.connectors = {connector.ref: connector for connector in known.connectors} or None
        station.sessions = {session.id: session for session in known.sessions} or None
        return station

    def token(self, operator_id: int, value: str) -> Awaitable[Token | None]:
        key = (operator_id, folded(value))
        kept = self._recent_tokens.get(key)
        if kept is not None and kept[0] > monotonic():
            future = asyncio.get_running_loop().create_future()
            future.set_result(kept[1])
            return future
        return self._tokens.find(key)

    def token_changed(self, operator_id: int, value: str) -> None:
        """An operator changed a token here: this process asks anew at once, others within seconds."""
        self._recent_tokens.pop((operator_id, folded(value)), None)

    def tariff(self, operator_id: int, moment: datetime) -> Awaitable[Tariff | None]:
        kept = self._recent_tariffs.get(operator_id)
        if kept is None or kept[0] < monotonic():
            return asyncio.ensure_future(self._tariff(operator_id, moment))
        future = asyncio.get_running_loop().create_future()
        future.set_result(tariff_at(kept[1], moment))
        return future

    def tariff_changed(self, operator_id: int) -> None:
        """An operator changed prices here: this process asks anew at once, others within seconds."""
        self._recent_tariffs.pop(operator_id, None)

    async def _tariff(self, operator_id: int, moment: datetime) -> Tariff | None:
        rows = await self._rows(_TARIFFS, operator=operator_id)
        found = [Tariff(row.currency, row.per_kwh, row.per_minute, row.per_session, row.valid_from) for row in rows]
        self._recent_tariffs[operator_id] = monotonic() + _TOKEN_KEPT, found
        return tariff_at(found, moment)

    def session_by_start(self, station_id: int, start_key: str) -> Awaitable[Session | None]:
        return self._by_start.find((station_id, start_key))

    def session_by_transaction(self, station_id: int, transaction_id: str) -> Awaitable[Session | None]:
        return self._by_transaction.find((station_id, transaction_id))

    # Tasks, since a handler is driven without one (gateway.turns).

    def has_reading(self, session_id: int, sampled_at_us: int, readings: bytes) -> Awaitable[bool]:
        async def look() -> bool:
            return bool(await self._rows(_READING, session=session_id, at=sampled_at_us, readings=readings.decode()))

        return asyncio.ensure_future(look())

    def reported(self, station_id: int, kind: str, keys: Collection[str]) -> Awaitable[dict[str, bytes]]:
        async def look() -> dict[str, bytes]:
            rows = await self._rows(_REPORTED, station=station_id, kind=kind, keys=list(keys))
            return {row.key: row.data.encode() for row in rows}

        return asyncio.ensure_future(look())

    def noted(self, station_id: int, moments: Collection[datetime]) -> Awaitable[set[bytes]]:
        async def look() -> set[bytes]:
            rows = await self._rows(_NOTED, station=station_id, moments=list(moments))
            return {row.data.encode() for row in rows}

        return asyncio.ensure_future(look())

    def serial(self, station_id: int) -> Awaitable[str | None]:
        async def look() -> str | None:
            rows = await self._rows(_SERIAL, station=station_id)
            return rows[0].serial if rows else None

        return asyncio.ensure_future(look())

    def claim(self, operator_id: int, token: str, use: Use, now: datetime) -> Awaitable[bool]:
        values = {
            "operator": operator_id, "folded": folded(token), "station": use.station_id,
            "transaction": use.transaction_id, "evse": use.evse_id, "now": to_us(now), "stale": to_us(now - CLAIM_GRACE),
        }  # fmt: skip
        return self._database.writer.run(lambda connection: bool(connection.execute(_CLAIM, values).rowcount))

    async def _load_stations(self, keys: list[tuple[str, str]]) -> dict[tuple[str, str], Known]:
        """All that an arrival needs, in one hop: a hot state that is read and not needed costs less than a second hop."""
        with self._reading():
            found, reported, running = await self._database.lookups.together(
                (_KNOWN, _CONNECTORS, _OPEN_SESSIONS), keys=_encode(keys).decode()
            )
        by_station: defaultdict[int, list[Connector]] = defaultdict(list)
        for row in reported:
            by_station[row.station_id].append(_connector(row))
        open_sessions: defaultdict[int, list[Session]] = defaultdict(list)
        for row in running:
            open_sessions[row.station_id].append(session_from(row))
        return {
            (row.operator, row.identity): Known(
                **row._mapping,
                connectors=tuple(by_station.get(row.id, ())),
                sessions=tuple(open_sessions.get(row.id, ())),
            )
            for row in found
        }

    async def _load_tokens(self, keys: list[tuple[int, str]]) -> dict[tuple[int, str], Token]:
        rows = await self._of(keys, _TOKENS)
        found = {
            (row.operator_id, row.folded): Token(row.value, row.type, row.status, row.group, row.expires_at)
            for row in rows
        }
        if len(self._recent_tokens) > _MOST_RECENT_TOKENS:
            self._recent_tokens.clear()
        until = monotonic() + _TOKEN_KEPT
        self._recent_tokens.update({key: (until, token) for key, token in found.items()})
        return found

    async def _load_by_start(self, keys: list[tuple[int, str]]) -> dict[tuple[int, str], Session]:
        return {(row.station_id, row.start_key): session_from(row) for row in await self._of(keys, _BY_START)}

    async def _load_by_transaction(self, keys: list[tuple[int, str]]) -> dict[tuple[int, str], Session]:
        rows = await self._of(keys, _BY_TRANSACTION)
        return {(row.station_id, row.transaction_id): session_from(row) for row in rows}

    async def _of(self, keys: list[tuple[Any, str]], query: sa.Executable) -> list[Any]:
        return await self._rows(query, keys=_encode(keys).decode())

    async def _rows(self, query: sa.Executable, **values: Any) -> list[Any]:
        with self._reading():
            return await self._database.lookups.rows(query, **values)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError, TimeoutError) as error:  # A damaged page, too (D7).
            cause = getattr(error, "orig", error)
            log.error("storage.unreadable", error=str(cause), remedy=remedy(cause))
            raise StorageUnavailable(str(cause)) from error


async def open_records(database: Database, now: datetime) -> Records:
    """Records for one run of the server: session ids start where no other run has been."""

    def begin(connection: sa.Connection) -> int:
        connection.execute(insert(connection, counters).values(name="server_start", value=0).on_conflict_do_nothing())
        connection.execute(
            sa.update(counters).where(counters.c.name == "server_start").values(value=counters.c.value + 1)
        )
        end_forgotten(connection, now)
        if connection.dialect.name == "sqlite":  # Of several nodes the others live on (`csms.cluster.membership`).
            # A server that was killed could not say that its stations are gone.
            connected = stations.c.connected_at.is_not(None)
            gone_offline(connection, connected, now)
            connection.execute(sa.update(stations).where(connected).values(connected_at=None))
        return connection.execute(sa.select(counters.c.value).where(counters.c.name == "server_start")).scalar_one()

    start = await database.writer.run(begin)
    # Below 2^53 (exact in JavaScript) for two million starts of the server.
    return Records(database, iter(range(start * _IDS_PER_START, (start + 1) * _IDS_PER_START)))


def _connector(row: Any) -> Connector:
    return Connector(
        row.evse_id, row.connector_id, sys.intern(row.status), row.reported_at, row.detail and sys.intern(row.detail),
        row.error_code and sys.intern(row.error_code), row.error_info, row.vendor_error_code,
    )  # fmt: skip


_keys = pairs("keys")
_name, _number, _second = first_text(_keys.c.value), first_number(_keys.c.value), second_text(_keys.c.value)

_named = sa.and_(stations.c.operator_id == operators.c.id, stations.c.identity == _second)


def _of_those_known(query: sa.Select, table: sa.Table) -> sa.Select:
    """The rows of a table that belong to the stations whose (operator, identity) are given."""
    return (
        query.join_from(_keys, operators, operators.c.name == _name)
        .join(stations, _named)
        .join(table, table.c.station_id == stations.c.id)
    )


_KNOWN = (
    sa.select(
        stations.c.id, stations.c.operator_id, operators.c.name.label("operator"), stations.c.identity,
        stations.c.password_hash, stations.c.password_next, stations.c.security_profile, stations.c.admission, stations.c.registration, stations.c.strict,
        stations.c.next_transaction, stations.c.serial, stations.c.vendor, stations.c.model, stations.c.firmware,
        sa.select(sa.func.max(sessions.c.started_at)).where(sessions.c.station_id == stations.c.id)
        .scalar_subquery().label("newest_start"),
    )
    .join_from(_keys, operators, operators.c.name == _name)
    .join(stations, _named)
)  # fmt: skip
_TOKENS = sa.select(tokens).join_from(
    _keys, tokens, sa.and_(tokens.c.operator_id == _number, tokens.c.folded == _second)
)
_TARIFFS = sa.select(tariffs).where(tariffs.c.operator_id == sa.bindparam("operator")).order_by(tariffs.c.valid_from)
_SESSIONS = sa.select(sessions).order_by(sessions.c.id)  # The newest comes last, and stays.
_BY_START = _SESSIONS.join_from(
    _keys, sessions, sa.and_(sessions.c.station_id == _number, sessions.c.start_key == _second)
)
_BY_TRANSACTION = _SESSIONS.join_from(
    _keys, sessions, sa.and_(sessions.c.station_id == _number, sessions.c.transaction_id == _second)
)
_CONNECTORS = _of_those_known(sa.select(connectors), connectors)
_OPEN_SESSIONS = _of_those_known(sa.select(sessions).where(sessions.c.ended_at.is_(None)), sessions)
_REPORTED = sa.select(reported.c.key, reported.c.data).where(
    reported.c.station_id == sa.bindparam("station"), reported.c.kind == sa.bindparam("kind"),
    reported.c.key.in_(sa.bindparam("keys", expanding=True)),
)  # fmt: skip
_NOTED = sa.select(station_log.c.data).where(
    station_log.c.station_id == sa.bindparam("station"),
    station_log.c.at.in_(sa.bindparam("moments", expanding=True)),
)  # fmt: skip
_SERIAL = sa.select(stations.c.serial).where(stations.c.id == sa.bindparam("station"))
# One statement, so that of two stations that ask together one is first. No row: the token is in use elsewhere.
_CLAIM = sa.text("""
    INSERT INTO claims (operator_id, folded, station_id, transaction_id, evse_id, claimed_at)
    VALUES (:operator, :folded, :station, :transaction, :evse, :now)
    ON CONFLICT (operator_id, folded) DO UPDATE SET station_id = excluded.station_id,
        transaction_id = excluded.transaction_id, evse_id = excluded.evse_id, claimed_at = excluded.claimed_at
    WHERE (claims.station_id = excluded.station_id
           AND (claims.transaction_id = excluded.transaction_id OR claims.evse_id = excluded.evse_id))
       OR (NOT EXISTS (SELECT 1 FROM sessions s WHERE s.station_id = claims.station_id
                       AND s.transaction_id = claims.transaction_id AND s.ended_at IS NULL
                       AND s.flags NOT LIKE '%"superseded"%' AND s.flags NOT LIKE '%"needs_review"%')
           AND (claims.claimed_at < :stale
                OR EXISTS (SELECT 1 FROM sessions s WHERE s.station_id = claims.station_id
                           AND s.transaction_id = claims.transaction_id)))
""").bindparams(
    *(sa.bindparam(name, type_=sa.BigInteger) for name in ("operator", "station", "evse", "now", "stale")),
    *(sa.bindparam(name, type_=sa.Text) for name in ("folded", "transaction")),
)
_READING = sa.text(
    "SELECT 1 FROM samples WHERE session_id = :session AND sampled_at = :at AND readings = :readings LIMIT 1"
).bindparams(
    *(sa.bindparam(name, type_=sa.BigInteger) for name in ("session", "at")), sa.bindparam("readings", type_=sa.Text)
)
