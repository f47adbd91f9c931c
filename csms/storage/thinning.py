"""Thins meter readings that are no longer new: of each place and session the first of every five minutes stays.

What is billed is in the session itself. It goes on from where it was, a few minutes of receiving at a time.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from csms.storage.database import Database
from csms.storage.dialect import insert
from csms.storage.tables import counters, samples, to_us

_PLACE = "samples_thinned"  # The counter: how far it has come (SQLite: an id, PostgreSQL: µs of receiving).
_MOST_ROWS = 20_000  # Looked at together on SQLite.
_SLICE = 500  # Rows deleted together on SQLite, where everybody waits for the one writer.
_BREATH = 0.01  # s between slices


def _superfluous(key: str, where: str) -> str:
    """Selects `key` of all but the first row of each place, session and span (:every, µs)."""
    return (
        f"SELECT {key} FROM (SELECT {key}, row_number() OVER (PARTITION BY station_id, session_id, evse_id, "
        f"connector_id, sampled_at / :every ORDER BY sampled_at, id) AS place FROM samples WHERE {where}) AS numbered "
        "WHERE place > 1"
    )


_DOOMED = sa.text(_superfluous("id", "id > :after AND id <= :upto"))
_NEXT = sa.text("SELECT id, received_at FROM samples WHERE id > :after ORDER BY id LIMIT 1")
_UPTO = sa.text(
    "SELECT max(id) FROM (SELECT id, received_at FROM samples WHERE id > :after ORDER BY id LIMIT :most) AS next "
    "WHERE received_at < :until"
)
_WITHIN = "received_at >= :begin AND received_at < :end"
_DAY = 86_400_000_000  # µs
_ANY = sa.text(f"SELECT 1 FROM samples WHERE {_WITHIN} LIMIT 1").bindparams(
    *(sa.bindparam(name, type_=sa.BigInteger) for name in ("begin", "end"))
)
_THIN = sa.text(
    f"DELETE FROM samples WHERE {_WITHIN} AND (tableoid, ctid) IN ({_superfluous('tableoid, ctid', _WITHIN)})"
).bindparams(*(sa.bindparam(name, type_=sa.BigInteger) for name in ("begin", "end", "every")))


async def thin(database: Database, before: datetime, every: timedelta) -> int:
    """Thin what was received before; returns the number of rows deleted."""
    small = database.reader.dialect.name == "sqlite"
    return await (_thin_sqlite if small else _thin_postgres)(
        database, to_us(before), every // timedelta(microseconds=1)
    )


async def _thin_sqlite(database: Database, before: int, every: int) -> int:
    after, deleted = await _place(database) or 0, 0
    while (row := await _one(database, _NEXT, after=after)) is not None:
        until = (row.received_at // every + 1) * every
        if until > before:
            break
        upto = (await _one(database, _UPTO, after=after, most=_MOST_ROWS, until=until))[0]
        async with database.reader.connect() as connection:
            found = await connection.execute(_DOOMED, {"after": after, "upto": upto, "every": every})
            doomed = list(found.scalars())
        for start in range(0, len(doomed), _SLICE):
            query = sa.delete(samples).where(samples.c.id.in_(doomed[start : start + _SLICE]))
            await database.writer.run(lambda connection, query=query: connection.execute(query) and None)
            await asyncio.sleep(_BREATH)
        deleted += len(doomed)
        after = upto
        await database.writer.run(lambda connection, place=after: _keep_place(connection, place))
    return deleted


async def _thin_postgres(database: Database, before: int, every: int) -> int:
    """Rows of another day than those that are written: the transactions of stations do not meet it."""
    begin, deleted = await _place(database), 0
    if begin is None:
        begin = (await _one(database, sa.select(sa.func.min(sa.type_coerce(samples.c.received_at, sa.BigInteger)))))[0]
    if begin is None:
        return 0
    begin = begin // every * every
    while begin + every <= before:
        if not await _one(database, _ANY, begin=begin, end=begin + _DAY):
            begin += _DAY // every * every  # Nothing came on that day, as while the system was away.
            continue

        def job(connection: sa.Connection, begin: int = begin) -> int:
            found = connection.execute(_THIN, {"begin": begin, "end": begin + every, "every": every}).rowcount
            _keep_place(connection, begin + every)
            return found

        deleted += await database.upkeep(job)
        begin += every
    return deleted


def _keep_place(connection: sa.Connection, place: int) -> None:
    row = insert(connection, counters).values(name=_PLACE, value=place)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value}))


async def _place(database: Database) -> int | None:
    row = await _one(database, sa.select(counters.c.value).where(counters.c.name == _PLACE))
    return None if row is None else row[0]


async def _one(database: Database, query: Any, **values: Any) -> Any:
    async with database.reader.connect() as connection:
        return (await connection.execute(query, values)).first()
