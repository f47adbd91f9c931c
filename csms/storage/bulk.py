"""Commands to many stations: which stations they are for, and what became of each.

Their law: a station's item is open until a command is recorded for it, in one transaction with that record, or a reason why
none can be. So each station is asked at most once, whatever is killed when, and none is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from csms.domain.bulk import Asked
from csms.storage.database import Database
from csms.storage.listings import STATIONS
from csms.storage.paging import Listing, Row, operator_id
from csms.storage.tables import bulk_commands, bulk_items, commands, operators, stations

_encode = msgspec.json.Encoder().encode
_asked = msgspec.json.Decoder(Asked).decode

_ITEMS = (
    sa.select(
        bulk_items.c.bulk_id, bulk_items.c.station_id.label("number"), stations.c.identity.label("station_id"),
        bulk_items.c.command_id, bulk_items.c.problem,
        sa.case(
            (bulk_items.c.problem.is_not(None), "refused"),
            (bulk_items.c.command_id.is_not(None), sa.func.coalesce(commands.c.status, "unknown")),
            (bulk_commands.c.status == "cancelled", "cancelled"),
            else_="waiting",
        ).label("state"),
        commands.c.response,
    )
    .join_from(bulk_items, bulk_commands, bulk_items.c.bulk_id == bulk_commands.c.id)
    .join(stations, bulk_items.c.station_id == stations.c.id)
    .join(commands, bulk_items.c.command_id == commands.c.id, isouter=True)
)  # fmt: skip
_STATE = _ITEMS.selected_columns["state"]


def _in_state(asked: tuple[int, str]) -> sa.ColumnElement[bool]:
    """As `_STATE` tells it, in words that the indexes of rare states are made of; of which bulk command, which state."""
    bulk, state = asked
    if state == "refused":
        return bulk_items.c.problem.is_not(None)
    if state in ("waiting", "cancelled"):
        # Asked once, not of each item.
        cancelled = sa.select(bulk_commands.c.status).where(bulk_commands.c.id == bulk).scalar_subquery() == "cancelled"
        open_ = sa.and_(bulk_items.c.command_id.is_(None), bulk_items.c.problem.is_(None))
        return sa.and_(open_, cancelled if state == "cancelled" else sa.not_(cancelled))
    return state == _STATE


BULKS = Listing(
    sa.select(bulk_commands, operators.c.name.label("operator")).join_from(bulk_commands, operators),
    {"id": (bulk_commands.c.id,)}, "-id", bulk_commands.c.operator_id,
    {"status": lambda status: bulk_commands.c.status == status},
)  # fmt: skip
ITEMS = Listing(
    _ITEMS, {"station": (bulk_items.c.station_id,)}, "station", None,
    {"bulk": lambda bulk: bulk_items.c.bulk_id == bulk, "state": _in_state},
)  # fmt: skip


class BulkLog:
    """Writes through the writer, reads what was committed."""

    def __init__(self, database: Database):
        self._write = database.writer.run
        self._reader = database.reader

    async def create(
        self, id: int, operator: str, asked: Asked, by: str, now: datetime, ids: Collection[str] | None, **filters: Any
    ) -> int:
        """Choose the operator's stations that match, for good; how many they are."""
        chosen = sa.select(sa.literal(id), stations.c.id).where(stations.c.operator_id == operator_id(operator))
        if ids is not None:
            chosen = chosen.where(stations.c.identity.in_(ids))
        for name, value in filters.items():
            if value is not None:
                chosen = chosen.where(STATIONS.filters[name](value))

        def job(connection: sa.Connection) -> int:
            row = {
                "id": id, "asked": _encode(asked).decode(), "stations": 0, "status": "running", "created_by": by,
                "created_at": now, "operator_id": connection.execute(sa.select(operator_id(operator))).scalar_one(),
            }  # fmt: skip
            connection.execute(sa.insert(bulk_commands).values(row))
            connection.execute(sa.insert(bulk_items).from_select(["bulk_id", "station_id"], chosen))
            counted = sa.select(sa.func.count()).where(bulk_items.c.bulk_id == id)
            number = connection.execute(counted).scalar_one()
            connection.execute(sa.update(bulk_commands).where(bulk_commands.c.id == id).values(stations=number))
            return number

        return await self._write(job)

    async def find(self, id: int) -> Row | None:
        """With its `operator`."""
        query = BULKS.query.where(bulk_commands.c.id == id)
        return next(iter(await self._rows(query)), None)

    async def counts(self, id: int) -> dict[str, int]:
        """How many stations are in which state."""
        query = _ITEMS.with_only_columns(_STATE, sa.func.count().label("number"), maintain_column_froms=True)
        rows = await self._rows(query.where(bulk_items.c.bulk_id == id).group_by(_STATE))
        return {row["state"]: row["number"] for row in rows}

    async def running(self) -> list[tuple[int, datetime, Asked]]:
        """(id, when it was made, what is asked)"""
        rows = await self._rows(sa.select(bulk_commands).where(bulk_commands.c.status == "running"))
        return [(row["id"], row["created_at"], _asked(row["asked"])) for row in rows]

    async def waiting(self, id: int, *, most: int, but: Collection[int], online: bool) -> list[Row]:
        """Some of the stations that were not asked yet: with `online`, only such as are connected."""
        query = (
            sa.select(
                stations.c.id.label("number"), stations.c.identity.label("id"), stations.c.version,
                stations.c.operator_id, operators.c.name.label("operator"), stations.c.connected_at,
            )
            .join_from(bulk_items, stations, bulk_items.c.station_id == stations.c.id)
            .join(operators, stations.c.operator_id == operators.c.id)
            .join(bulk_commands, bulk_items.c.bulk_id == bulk_commands.c.id)
            .where(bulk_items.c.bulk_id == id, bulk_items.c.command_id.is_(None), bulk_items.c.problem.is_(None))
            .where(bulk_commands.c.status == "running", bulk_items.c.station_id.not_in(but))
            .order_by(bulk_items.c.station_id)
            .limit(most)
        )  # fmt: skip
        return await self._rows(query.where(stations.c.connected_at.is_not(None)) if online else query)

    def claim(self, id: int, station: int) -> Callable[[sa.Connection, int], bool]:
        """Ties the record of a command to the station's item, in one transaction; False: it is not open any more."""
        return partial(_claimed, id, station)

    async def refuse(self, id: int, station: int, problem: str) -> None:
        """Nothing can be asked of this station."""
        values = {"problem": problem}
        await self._write(lambda connection: connection.execute(_open_item(id, station).values(values)).rowcount)

    async def end(self, id: int, status: str, now: datetime) -> bool:
        """Done or cancelled; False when it had ended before."""
        ended = (
            sa.update(bulk_commands)
            .where(bulk_commands.c.id == id, bulk_commands.c.status == "running")
            .values(status=status, ended_at=now)
        )
        return bool(await self._write(lambda connection: connection.execute(ended).rowcount))

    async def _rows(self, query: sa.Select) -> list[Row]:
        async with self._reader.connect() as connection:
            return [row._mapping for row in (await connection.execute(query)).all()]


def _claimed(id: int, station: int, connection: sa.Connection, command: int) -> bool:
    running = sa.exists().where(bulk_commands.c.id == id, bulk_commands.c.status == "running")
    claimed = _open_item(id, station).where(running).values(command_id=command)
    return connection.execute(claimed).rowcount == 1


def _open_item(id: int, station: int) -> sa.Update:
    item = bulk_items.c
    return sa.update(bulk_items).where(
        item.bulk_id == id, item.station_id == station, item.command_id.is_(None), item.problem.is_(None)
    )
