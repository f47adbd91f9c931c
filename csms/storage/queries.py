"""What people and programs ask of the network: read models, straight from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.domain.sessions import Session
from csms.domain.tokens import folded
from csms.storage.listings import (
    LOCAL_LISTS,
    LOCATION,
    OPERATORS,
    PROFILES,
    RESERVATIONS,
    SESSIONS,
    STATION,
    TOKENS,
)
from csms.storage.paging import FIRST_PAGE, MOST_FEW, Listing, Page, Paging, Row, operator_id, page, select
from csms.storage.rows import session_from
from csms.storage.tables import (
    charging_profiles,
    connectors,
    local_lists,
    locations,
    operators,
    outbox,
    reservations,
    sessions,
    stations,
    tariffs,
    tokens,
)

_NUMBER = sa.select(operators.c.id).where(operators.c.name == sa.bindparam("name"))
_NOBODY = 0


class Queries:
    """Reads committed state; never waits for the writer."""

    def __init__(self, reader: AsyncEngine):
        self._reader = reader

    async def page(
        self, listing: Listing, paging: Paging = FIRST_PAGE, operator: str | None = None, **filters: Any
    ) -> Page:
        """A page of a listing, within an operator and filtered where given; BadCursor for a foreign cursor."""
        async with self._reader.connect() as connection:
            owner = None
            if operator is not None and listing.owner is not None:  # Its number tells a planner how much it has.
                owner = (await connection.execute(_NUMBER, {"name": operator})).scalar_one_or_none() or _NOBODY
            asked = select(listing, paging, owner, **filters)
            query, given, total = asked.rows, {}, None
            if asked.few is not None:
                few = (await connection.execute(asked.few)).scalars().all()
                if len(few) <= MOST_FEW:
                    query, given, total = asked.among, {"few": few}, len(few)
            rows = [row._mapping for row in (await connection.execute(query, given)).all()]
            if paging.total and total is None:
                total = (await connection.execute(asked.total)).scalar_one()
        return page(listing, paging, rows, total if paging.total else None)

    async def first(self, query: sa.Select) -> Row | None:
        """The one row that a query finds; None: there is none."""
        rows = await self.rows(query.limit(1))
        return rows[0] if rows else None

    async def station(self, operator: str, identity: str) -> Row | None:
        mine = stations.c.operator_id == operator_id(operator)
        return await self.first(STATION.where(mine, stations.c.identity == identity))

    async def location(self, operator: str, code: str) -> Row | None:
        mine = locations.c.operator_id == operator_id(operator)
        return await self.first(LOCATION.where(mine, locations.c.code == code))

    async def station_numbers(self, operator: str, identities: Sequence[str]) -> dict[str, int]:
        query = (
            sa.select(stations.c.identity, stations.c.id)
            .join_from(stations, operators, stations.c.operator_id == operators.c.id)
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

    async def session(self, session_id: int) -> Row | None:
        row = await self.first(SESSIONS.query.where(sessions.c.id == session_id))
        return None if row is None else SESSIONS.shape(row)

    async def reservation(self, id: int) -> Row | None:
        return await self.first(RESERVATIONS.query.where(reservations.c.id == id))

    async def profile(self, station: int, profile_id: int) -> Row | None:
        held = charging_profiles.c
        row = await self.first(PROFILES.query.where(held.station_id == station, held.profile_id == profile_id))
        return row and PROFILES.shape(row)

    async def local_list(self, station: int) -> Row | None:
        row = await self.first(LOCAL_LISTS.query.where(local_lists.c.station_id == station))
        return row and LOCAL_LISTS.shape(row)

    async def operator(self, name: str) -> Row | None:
        return await self.first(OPERATORS.query.where(operators.c.name == name))

    async def whole_session(self, session_id: int) -> Session | None:
        """As the blocks know it."""
        async with self._reader.connect() as connection:
            row = (await connection.execute(sa.select(sessions).where(sessions.c.id == session_id))).one_or_none()
        return None if row is None else session_from(row)

    async def token(self, operator: str, value: str) -> Row | None:
        mine = tokens.c.operator_id == operator_id(operator)
        return await self.first(TOKENS.query.where(mine, tokens.c.folded == folded(value)))

    async def tariff(self, operator_id: int, valid_from: datetime) -> Row | None:
        same = sa.and_(tariffs.c.operator_id == operator_id, tariffs.c.valid_from == valid_from)
        return await self.first(sa.select(tariffs).where(same))

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
        row = await self.first(sa.select(*(count.scalar_subquery().label(name) for name, count in counts.items())))
        return dict(row or {})

    async def rows(self, query: sa.Select) -> list[Row]:
        """All rows of a query, by column name."""
        async with self._reader.connect() as connection:
            return [row._mapping for row in (await connection.execute(query)).all()]
