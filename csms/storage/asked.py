"""Read models of what stations were asked for and granted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from csms.storage.queries import Page, Queries, number
from csms.storage.tables import charging_profiles, local_lists, operators, reported, reservations, station_log, stations

_NAMED = (operators.c.name.label("operator"), stations.c.identity.label("station_id"))


class Asked:
    """Pages of reservations, profiles and local lists, each within an operator and a station where given."""

    def __init__(self, queries: Queries):
        self._all = queries.rows

    async def reservations(self, *, limit: int, cursor: str | None, **narrowed: str | None) -> Page:
        """The latest first."""
        query = _of(reservations, narrowed).order_by(reservations.c.id.desc())
        if cursor is not None:
            query = query.where(reservations.c.id < number(cursor))
        rows = await self._all(query.limit(limit + 1))
        return rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else None

    async def profiles(self, *, limit: int, cursor: str | None, **narrowed: str | None) -> Page:
        """`confirmed_at`: when it was installed, or the station last said that it holds it."""
        held = charging_profiles.c
        key = sa.cast(held.evse_id, sa.Text).concat("/").concat(sa.cast(held.profile_id, sa.Text))
        said = (
            sa.select(reported.c.reported_at)
            .where(
                reported.c.station_id == held.station_id, reported.c.kind == "charging_profile", reported.c.key == key
            )
            .scalar_subquery()
        )
        confirmed = sa.case((said > held.installed_at, said), else_=held.installed_at).label("confirmed_at")
        extra = (confirmed, stations.c.booted_at)
        return await self._by_station(charging_profiles, held.profile_id, limit, cursor, narrowed, extra)

    async def local_lists(self, *, limit: int, cursor: str | None, **narrowed: str | None) -> Page:
        return await self._by_station(local_lists, local_lists.c.version, limit, cursor, narrowed)

    async def said(self, station: int, kinds: Sequence[str], *, limit: int, cursor: str | None) -> Page:
        """What the station said of itself of these kinds and still holds, by key."""
        query = sa.select(reported).where(
            reported.c.station_id == station, reported.c.kind.in_(kinds), reported.c.data != "null"
        )
        if cursor is not None:
            kind, _, key = cursor.partition("/")
            later = sa.and_(reported.c.kind == kind, reported.c.key > key)
            query = query.where(sa.or_(reported.c.kind > kind, later))
        rows = await self._all(query.order_by(reported.c.kind, reported.c.key).limit(limit + 1))
        last = rows[limit - 1] if len(rows) > limit else None
        return rows[:limit], f"{last['kind']}/{last['key']}" if last else None

    async def log(self, station: int, *, limit: int, cursor: str | None) -> Page:
        """The latest first."""
        query = sa.select(station_log).where(station_log.c.station_id == station)
        if cursor is not None:
            query = query.where(station_log.c.id < number(cursor))
        rows = await self._all(query.order_by(station_log.c.id.desc()).limit(limit + 1))
        return rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else None

    async def _by_station(
        self, table: sa.Table, second: sa.Column, limit: int, cursor: str | None, narrowed: dict[str, str | None],
        extra: Sequence[Any] = (),
    ) -> Page:  # fmt: skip
        query = _of(table, narrowed, extra).order_by(table.c.station_id, second)
        if cursor is not None:
            station, _, last = cursor.partition("-")
            at = (number(station), number(last))
            query = query.where(
                sa.or_(table.c.station_id > at[0], sa.and_(table.c.station_id == at[0], second > at[1]))
            )
        rows = await self._all(query.limit(limit + 1))
        last_row = rows[limit - 1] if len(rows) > limit else None
        return rows[:limit], f"{last_row['number']}-{last_row[second.name]}" if last_row else None


def _of(table: sa.Table, narrowed: dict[str, str | None], extra: Sequence[Any] = ()) -> Any:
    columns = [column for column in table.c if column.name != "station_id"]
    query = (
        sa.select(*columns, table.c.station_id.label("number"), *_NAMED, *extra)
        .join_from(table, stations, table.c.station_id == stations.c.id)
        .join(operators, stations.c.operator_id == operators.c.id)
    )
    if narrowed["operator"] is not None:
        query = query.where(operators.c.name == narrowed["operator"])
    if narrowed["station"] is not None:
        query = query.where(stations.c.identity == narrowed["station"])
    return query
