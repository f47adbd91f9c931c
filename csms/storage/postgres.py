"""The one task of a node that writes to PostgreSQL: what is waiting is committed together, then answered.

A resolved future means that PostgreSQL has the rows on disk (synchronous_commit is on). There is no timer: a commit takes
whatever has gathered while the one before it was being synced. When the connection is lost between COMMIT and its reply,
PostgreSQL is asked what became of the transaction: nothing is written twice, nothing acknowledged is lost (D3).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.domain.ports import StorageUnavailable
from csms.domain.unit import Unit
from csms.storage.rows import Statement, latest, rows_of

T = TypeVar("T")
Job = Callable[[sa.Connection], Any]
_Work = tuple["Unit | Job", "asyncio.Future[Any]"]

_MOST_UNITS = 2_000  # In one commit: bounds the wait of the first for the last.
_GOODBYE = 2.0  # s
_PROBE = 1.0  # s between looks whether a database that failed is well again, while nobody writes.

# Classes of SQLSTATE that are about what was written, not about the database: trying again cannot help.
_ABOUT_THE_ROWS = ("22", "23", "42")
_AWAY = (OSError, EOFError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)

log = structlog.get_logger()


class PostgresWriter:
    """Commits units and runs jobs, one after the other, on one connection."""

    def __init__(self, engine: AsyncEngine, connect: Callable[[], Any], *, patience: float = 25.0):
        """`connect` opens a connection of the driver; `patience`: s that a failing commit is tried again."""
        self._engine = engine
        self._connect = connect
        self._patience = patience
        self._waiting: deque[_Work] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._connection: asyncpg.Connection | None = None
        self.failing = False  # Nothing can be stored at the moment: new stations are better sent away.
        self.on_commit: Callable[[], None] | None = None  # Called when events may have been stored.
        self._task = asyncio.create_task(self._run(), name="postgres-writer")

    def commit(self, unit: Unit) -> asyncio.Future[None]:
        return self._put(unit)

    def run(self, job: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Run `job` in a transaction of its own; it is rolled back if the job raises."""
        return self._put(job)

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._stopping = True
        self._wake.set()
        await asyncio.wait({self._task})
        if self._connection is not None:
            with contextlib.suppress(*_AWAY):
                await self._connection.close(timeout=_GOODBYE)
        await self._engine.dispose()

    def _put(self, work: Unit | Job) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        if self._stopping:
            future.set_exception(StorageUnavailable("the server is stopping"))
            return future
        self._waiting.append((work, future))
        self._wake.set()
        return future

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                if self._stopping:
                    return
                await self._rest()
                continue
            work, future = self._waiting[0]
            if isinstance(work, Unit):
                await self._commit_units()
            else:
                self._waiting.popleft()
                await self._run_job(work, future)

    async def _rest(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(_PROBE if self.failing else None):
                await self._wake.wait()
        except TimeoutError:
            await self._probe()

    async def _probe(self) -> None:
        try:
            await (await self._connected()).execute("SELECT 1")
            self._well()
        except _AWAY:
            await self._leave()

    # Units.

    async def _commit_units(self) -> None:
        batch: list[_Work] = []
        while self._waiting and isinstance(self._waiting[0][0], Unit) and len(batch) < _MOST_UNITS:
            batch.append(self._waiting.popleft())
        error = await self._patiently([unit for unit, _ in batch])
        if error is not None and not isinstance(error, StorageUnavailable) and len(batch) > 1:
            for each in batch:  # One bad row never fails its neighbours.
                _settle([each], await self._patiently([each[0]]))
        else:
            _settle(batch, error)
        if self.on_commit is not None and any(unit.events for unit, _ in batch):
            self.on_commit()

    async def _patiently(self, units: list[Unit]) -> Exception | None:
        """Write and commit; while the database cannot (away, slow, in recovery), try again within the patience."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + (0 if self.failing else self._patience), 0.05
        rows = rows_of(units)
        while True:
            try:
                await self._transact(rows)
            except Exception as error:
                if _is_about_the_rows(error):
                    return error
                if not isinstance(error, _AWAY):
                    log.exception("storage.unit_unwritable")
                    return error
                self._ill(error)
                if loop.time() >= until or self._stopping:
                    return StorageUnavailable(str(error) or type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
            else:
                self._well()
                return None

    async def _transact(self, rows: dict[Statement, list[tuple]]) -> None:
        connection = await self._connected()
        number = None
        try:
            await connection.execute("BEGIN")
            number = await connection.fetchval("SELECT pg_current_xact_id()::text")
            for statement, values in rows.items():
                if statement.update or statement.upsert:
                    values = latest(values, statement.keys)
                await connection.execute(_sql(statement), *zip(*values, strict=True))
            await connection.execute("COMMIT")
        except Exception as error:
            if not connection.is_closed() and isinstance(error, asyncpg.PostgresError):
                await connection.execute("ROLLBACK")
                raise
            await self._leave()
            if number is None or not await self._was_committed(number):
                raise

    async def _was_committed(self, number: str) -> bool:
        """What became of a transaction whose connection was lost; waits while the old backend still works on it."""
        until = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                connection = await self._connected()
                status = await connection.fetchval("SELECT pg_xact_status($1::text::xid8)", number)
            except _AWAY as error:
                await self._leave()
                self._ill(error)
                status = "unknown"
            if status in ("committed", "aborted", None):
                return status == "committed"
            if asyncio.get_running_loop().time() >= until:
                # Neither kept nor lost, as far as we know: it must not be written again, nor be acknowledged.
                raise StorageUnavailable("the database does not tell what became of a transaction")
            await asyncio.sleep(0.1)

    # Jobs.

    async def _run_job(self, job: Job, future: asyncio.Future[Any]) -> None:
        number = None
        try:
            async with self._engine.connect() as connection:
                number = await connection.scalar(sa.text("SELECT pg_current_xact_id()::text"))
                result = await connection.run_sync(job)
                await connection.commit()
        except Exception as error:
            cause = getattr(error, "orig", None) or error
            if isinstance(error, sa.exc.DBAPIError) and not _is_about_the_rows(cause):
                self._ill(cause)
                if not (number and await self._knows_committed(number)):
                    error = StorageUnavailable(str(cause))
            elif isinstance(error, OSError):
                error = StorageUnavailable(str(error))
            if not future.done():
                future.set_exception(error)
            return
        self._well()
        if self.on_commit is not None:
            self.on_commit()
        if not future.done():
            future.set_result(result)

    async def _knows_committed(self, number: str) -> bool:
        try:
            return await self._was_committed(number)
        except StorageUnavailable:
            return False

    # The connection.

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _ill(self, error: BaseException) -> None:
        if not self.failing:
            remedy = "look at the PostgreSQL server and at the way to it"
            log.error("storage.failing", error=str(error) or type(error).__name__, remedy=remedy)
        self.failing = True

    def _well(self) -> None:
        if self.failing:
            log.warning("storage.recovered")
        self.failing = False


def _settle(batch: list[_Work], error: Exception | None) -> None:
    for _, future in batch:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _is_about_the_rows(error: BaseException) -> bool:
    if isinstance(error, asyncpg.DataError):  # The driver itself: a value that no such column holds.
        return True
    code = getattr(error, "sqlstate", None) or ""
    return code[:2] in _ABOUT_THE_ROWS or (isinstance(error, asyncpg.InterfaceError) and "argument" in str(error))


_ARRAYS = {
    sa.BigInteger: "bigint[]", sa.Integer: "bigint[]", sa.Float: "float8[]", sa.Boolean: "bool[]",
    sa.LargeBinary: "bytea[]", sa.Text: "text[]", sa.String: "text[]",
}  # fmt: skip


@cache
def _sql(statement: Statement) -> str:
    """The SQL that writes any number of rows at once; each parameter is a column of them."""
    table = statement.table.name
    arrays = ", ".join(
        f"${number}::{_array(statement.table.c[column].type)}" for number, column in enumerate(statement.columns, 1)
    )
    names = [f'"{column}"' for column in statement.columns]
    if statement.update:
        moving = ", ".join(f"{name} = v.{name}" for name in names[statement.keys :])
        found = " AND ".join(f"{table}.{name} = v.{name}" for name in names[: statement.keys])
        return f"UPDATE {table} SET {moving} FROM unnest({arrays}) AS v({', '.join(names)}) WHERE {found}"
    sql = f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays})"
    if statement.upsert:
        moving = ", ".join(f"{name} = excluded.{name}" for name in names[statement.keys :])
        sql += f" ON CONFLICT ({', '.join(names[: statement.keys])}) DO UPDATE SET {moving}"
    return sql


def _array(kind: Any) -> str:
    if isinstance(kind, sa.TypeDecorator):
        kind = kind.impl
    return next(array for python, array in _ARRAYS.items() if isinstance(kind, python))
