"""The outbox: committed events in the order of their commit, and how far each subscriber has got."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from csms.storage.database import Database
from csms.storage.dialect import as_json, insert, json_row, json_rows
from csms.storage.tables import from_us, outbox, subscribers

_SLICE = 500  # Rows deleted at a time: less than 2 ms of the writer, which stations wait for.
_BREATH = 0.01  # s between slices

log = structlog.get_logger()


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one unit of work of a station told; its event number n (from 0) has the id "<id>-<n>" for ever."""

    id: int
    at_us: int
    operator: str
    station: str
    events: list[msgspec.Raw]  # JSON objects; views into their page, so copy what outlives it.

    @property
    def at(self) -> datetime:
        return from_us(self.at_us)


class Outbox:
    """One for each open database. Subscribers read on from a position; what all confirmed may be purged."""

    def __init__(self, database: Database):
        self._database = database
        self._news = asyncio.Event()
        database.writer.on_commit = self.wake

    @property
    def news(self) -> asyncio.Event:
        """Set by the next commit. Take it before reading a page, then no commit falls between the two."""
        return self._news

    def wake(self) -> None:
        """Something was committed: all who wait look again."""
        self._news.set()
        self._news = asyncio.Event()

    async def page(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries behind a position, oldest first."""
        return _decode(await self._scalar(_PAGE, after=after, limit=limit))

    async def bounds(self) -> tuple[int, int]:
        """The oldest and the newest entry that are kept and committed; 0, 0 where there are none."""
        oldest, newest = await self._row(_BOUNDS)
        return oldest or 0, newest or 0

    async def newest(self) -> int:
        """The position of the latest entry, purged or not; 0 before the first."""
        return await self._scalar(_NEWEST[self._database.reader.dialect.name]) or 0

    async def position(self, name: str) -> int:
        """The last entry this subscriber confirmed.

        A new one starts at 0, with the oldest entry that is kept: an event from before its time costs it
        little, one it counts on and misses cannot be had again.
        """
        return await self._scalar(_POSITION, name=name) or 0

    async def confirm(self, name: str, position: int) -> None:
        """The subscriber has everything up to here, and what follows is kept for it (0: to join)."""

        def job(connection: sa.Connection) -> None:
            row = insert(connection, subscribers).values(name=name, position=position)
            connection.execute(
                row.on_conflict_do_update(
                    index_elements=[subscribers.c.name],
                    set_={"position": row.excluded.position},
                    where=subscribers.c.position < row.excluded.position,
                )
            )

        await self._database.writer.run(job)

    async def forget(self, name: str) -> None:
        """This subscriber is gone for good: nothing is kept for it any longer."""
        query = sa.delete(subscribers).where(subscribers.c.name == name)
        await self._database.writer.run(lambda connection: connection.execute(query) and None)

    async def purge(self, keep_after: datetime, most: int) -> int:
        """Delete what is older than `keep_after` and confirmed by all, and whatever exceeds `most` rows.

        The latter even if unconfirmed, with an error logged: a receiver that stays away must not fill the
        disk. Returns the number of rows deleted.
        """
        oldest, newest = await self.bounds()
        if not oldest:
            return 0
        positions = {row.name: row.position for row in await self._rows(sa.select(subscribers))}
        edge = newest - most  # Ids have no gaps, so they count rows.
        _tell_losses(positions, oldest, edge)
        confirmed = min(positions.values(), default=newest)
        first_young = await self._scalar(_FIRST_YOUNG, upto=confirmed, keep_after=keep_after)
        edge = max(edge, confirmed if first_young is None else first_young - 1)
        deleted = 0
        for start in range(oldest, edge + 1, _SLICE):
            deleted += await self._database.writer.run(_delete_upto(min(start + _SLICE - 1, edge)))
            await asyncio.sleep(_BREATH)
        return deleted

    async def _rows(self, query: sa.Executable, **values: Any) -> list[Any]:
        async with self._database.reader.connect() as connection:
            return list((await connection.execute(query, values)).all())

    async def _row(self, query: sa.Executable, **values: Any) -> Any:
        return (await self._rows(query, **values))[0]

    async def _scalar(self, query: sa.Executable, **values: Any) -> Any:
        rows = await self._rows(query, **values)
        return rows[0][0] if rows else None


def _tell_losses(positions: dict[str, int], oldest: int, edge: int) -> None:
    for name, position in positions.items():
        lost = edge - max(position, oldest - 1)
        if lost > 0:
            log.error(
                "outbox.events_lost", subscriber=name, rows=lost,
                remedy="bring the receiver back, or allow the outbox more rows",
            )  # fmt: skip


def _delete_upto(edge: int) -> Any:
    query = sa.delete(outbox).where(outbox.c.id <= edge)
    return lambda connection: connection.execute(query).rowcount


# A page is one row, put together by the engine: fetched row by row, a reader thread would wait for the GIL at
# each (1,000 rows beside a busy loop: seconds, not milliseconds).
_of_page = (
    sa.select(outbox)
    .where(outbox.c.id > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(outbox.c.id)
    .limit(sa.bindparam("limit"))
    .subquery()
)
_PAGE = sa.select(
    json_rows(
        json_row(_of_page.c.id, _of_page.c.at, _of_page.c.operator, _of_page.c.station, as_json(_of_page.c.events))
    )
)
_decode = msgspec.json.Decoder(list[Entry]).decode

_NEWEST = {
    "sqlite": sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"),
    "postgresql": sa.text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_id_seq"),
}
_BOUNDS = sa.select(sa.func.min(outbox.c.id), sa.func.max(outbox.c.id))
_POSITION = sa.select(subscribers.c.position).where(subscribers.c.name == sa.bindparam("name"))
_FIRST_YOUNG = (
    sa.select(outbox.c.id)
    .where(outbox.c.id <= sa.bindparam("upto"), outbox.c.at >= sa.bindparam("keep_after"))
    .order_by(outbox.c.id)
    .limit(1)
)
