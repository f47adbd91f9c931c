"""What people and programs ask of the network: read models, straight from the tables.

A page is `(rows, next)`: `next` is the cursor to ask for what follows, None on the last page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.domain.tokens import folded
from csms.storage.tables import connectors, operators, outbox, samples, sessions, stations, tariffs, to_us, tokens

Row = Mapping[str, Any]
Page = tuple[list[Row], str | None]

_MOST = (1 << 63) - 1  # What fits into a column.

_STATION = (
    stations.c.id.label("number"), stations.c.operator_id, stations.c.identity.label("id"),
    operators.c.name.label("operator"), stations.c.admission, stations.c.registration, stations.c.strict,
    stations.c.security_profile,
    stations.c.version, stations.c.vendor, stations.c.model, stations.c.serial, stations.c.firmware,
    stations.c.connected_at, stations.c.last_seen_at, stations.c.booted_at, stations.c.created_at,
    stations.c.password_hash.is_not(None).label("has_password"),
)  # fmt: skip
_SESSION = (
    sessions.c.id, operators.c.name.label("operator"), stations.c.identity.label("station_id"),
    sessions.c.station_id.label("station_number"), sessions.c.operator_id,
    sessions.c.transaction_id.label("station_transaction_id"), sessions.c.version, sessions.c.token,
    sessions.c.token_type, sessions.c.group, sessions.c.authorization, sessions.c.evse_id, sessions.c.connector_id,
    sessions.c.started_at, sessions.c.received_at, sessions.c.ended_at, sessions.c.stop_reason, sessions.c.phase,
    sessions.c.energy_wh, sessions.c.meter_start_wh, sessions.c.meter_stop_wh, sessions.c.power_w, sessions.c.soc,
    sessions.c.flags,
)  # fmt: skip


class Queries:
    """Reads committed state; never waits for the writer."""

    def __init__(self, reader: AsyncEngine):
        self._reader = reader

    async def stations(
        self, *, operator: str | None = None, online: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page:
        query = sa.select(*_STATION).join_from(stations, operators).order_by(stations.c.id).limit(limit + 1)
        if operator is not None:
            query = query.where(operators.c.name == operator)
        if online is not None:
            query = query.where(stations.c.connected_at.is_not(None) if online else stations.c.connected_at.is_(None))
        if cursor is not None:
            query = query.where(stations.c.id > number(cursor))
        rows = await self.rows(query)
        return rows[:limit], str(rows[limit - 1]["number"]) if len(rows) > limit else None

    async def station(self, operator: str, identity: str) -> Row | None:
        query = (
            sa.select(*_STATION)
            .join_from(stations, operators)
            .where(operators.c.name == operator, stations.c.identity == identity)
        )
        return await self._one(query)

    async def station_numbers(self, operator: str, identities: Sequence[str]) -> dict[str, int]:
        query = (
            sa.select(stations.c.identity, stations.c.id)
            .join_from(stations, operators)
            .where(operators.c.name == operator, stations.c.identity.in_(identities))
        )
        return {row["identity"]: row["id"] for row in await self.rows(query)}

    async def connectors(self, station_number: int) -> Sequence[Row]:
        query = (
            sa.select(connectors)
            .where(connectors.c.station_id == station_number)
            .order_by(connectors.c.evse_id, connectors.c.connector_id)
        )
        return await self.rows(query)

    async def sessions(
        self, *, operator: str | None = None, station: str | None = None, token: str | None = None,
        active: bool | None = None, limit: int = 100, cursor: str | None = None,
    ) -> Page:  # fmt: skip
        """Newest first."""
        query = (
            sa.select(*_SESSION)
            .join_from(sessions, stations, sessions.c.station_id == stations.c.id)
            .join(operators, sessions.c.operator_id == operators.c.id)
            .order_by(sessions.c.started_at.desc(), sessions.c.id.desc())
            .limit(limit + 1)
        )
        if operator is not None:
            query = query.where(operators.c.name == operator)
        if station is not None:
            query = query.where(stations.c.identity == station)
        if token is not None:
            query = query.where(sa.func.lower(sessions.c.token) == token.lower())
        if active is not None:
            query = query.where(sessions.c.ended_at.is_(None) if active else sessions.c.ended_at.is_not(None))
        if cursor is not None:
            started_at, _, last = cursor.rpartition("-")
            before = sa.tuple_(sa.type_coerce(sessions.c.started_at, sa.BigInteger), sessions.c.id) < sa.tuple_(
                sa.literal(number(started_at)), sa.literal(number(last))
            )
            query = query.where(before)
        rows = [_session(row) for row in await self.rows(query)]
        last_row = rows[limit - 1] if len(rows) > limit else None
        return rows[:limit], f"{to_us(last_row['started_at'])}-{last_row['id']}" if last_row else None

    async def session(self, session_id: int) -> Row | None:
        query = (
            sa.select(*_SESSION)
            .join_from(sessions, stations, sessions.c.station_id == stations.c.id)
            .join(operators, sessions.c.operator_id == operators.c.id)
            .where(sessions.c.id == session_id)
        )
        row = await self._one(query)
        return None if row is None else _session(row)

    async def samples(self, session_id: int, limit: int = 1000) -> Sequence[Row]:
        query = (
            sa.select(samples)
            .where(samples.c.session_id == session_id)
            .order_by(samples.c.sampled_at, samples.c.id)
            .limit(limit)
        )
        rows = await self.rows(query)
        return [{**row, "readings": msgspec.json.decode(row["readings"])} for row in rows]

    async def tokens(self, operator: str, limit: int = 100, cursor: str | None = None) -> Page:
        query = (
            sa.select(tokens)
            .join_from(tokens, operators)
            .where(operators.c.name == operator)
            .order_by(tokens.c.folded)
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(tokens.c.folded > cursor)
        rows = await self.rows(query)
        return rows[:limit], rows[limit - 1]["folded"] if len(rows) > limit else None

    async def token(self, operator: str, value: str) -> Row | None:
        query = (
            sa.select(tokens)
            .join_from(tokens, operators)
            .where(operators.c.name == operator, tokens.c.folded == folded(value))
        )
        return await self._one(query)

    async def tariffs(self, operator: str) -> list[Row]:
        """The latest first."""
        query = sa.select(tariffs).join_from(tariffs, operators).where(operators.c.name == operator)
        return await self.rows(query.order_by(tariffs.c.valid_from.desc()))

    async def tariff(self, operator_id: int, valid_from: datetime) -> Row | None:
        same = sa.and_(tariffs.c.operator_id == operator_id, tariffs.c.valid_from == valid_from)
        return await self._one(sa.select(tariffs).where(same))

    async def totals(self, operator: str | None = None) -> Row:
        """How much there is of everything (of one operator), for people who look after the system."""
        counts = {
            "operators": sa.select(sa.func.count()).select_from(operators),
            "stations": sa.select(sa.func.count()).select_from(stations),
            "stations_online": sa.select(sa.func.count()).where(stations.c.connected_at.is_not(None)),
            "sessions": sa.select(sa.func.count()).select_from(sessions),
            "sessions_open": sa.select(sa.func.count()).where(sessions.c.ended_at.is_(None)),
            "tokens": sa.select(sa.func.count()).select_from(tokens),
            "events_kept": sa.select(sa.func.count()).select_from(outbox),
        }
        if operator is not None:
            number = sa.select(operators.c.id).where(operators.c.name == operator).scalar_subquery()
            for name, table in (("stations", stations), ("sessions", sessions), ("tokens", tokens)):
                counts[name] = counts[name].where(table.c.operator_id == number)
            counts["stations_online"] = counts["stations_online"].where(stations.c.operator_id == number)
            counts["sessions_open"] = counts["sessions_open"].where(sessions.c.operator_id == number)
            counts["operators"] = counts["operators"].where(operators.c.name == operator)
            counts["events_kept"] = counts["events_kept"].where(outbox.c.operator == operator)
        row = await self._one(sa.select(*(count.scalar_subquery().label(name) for name, count in counts.items())))
        return dict(row or {})

    async def rows(self, query: sa.Select) -> list[Row]:
        """All rows of a query, by column name."""
        async with self._reader.connect() as connection:
            return [row._mapping for row in (await connection.execute(query)).all()]

    async def _one(self, query: sa.Select) -> Row | None:
        rows = await self.rows(query)
        return rows[0] if rows else None


class BadCursor(ValueError):
    """The cursor was not made by this API: start again without one."""


def number(text: str) -> int:
    """A cursor that is a number; BadCursor else."""
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or abs(value) > _MOST:
        raise BadCursor("The cursor is not one that this API gave out; leave it away to start at the beginning.")
    return value


def _session(row: Row) -> Row:
    return {**row, "flags": msgspec.json.decode(row["flags"])}
