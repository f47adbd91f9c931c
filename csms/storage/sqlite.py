"""The one thread that writes to SQLite: what is waiting is committed together, then answered.

It alone writes and checkpoints (SQLite 3.7.0-3.51.2 can lose a WAL reset when two connections do), with
synchronous=FULL: a resolved future means that the rows are on disk. A commit takes whatever has gathered while the one
before it was being synced. Rows are made in the loop, so that the thread hardly needs the GIL: where both want it, they
pay two switches of threads for each callback of the loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
import structlog

from csms.domain.ports import StorageUnavailable
from csms.domain.unit import Unit
from csms.storage.pace import Pace
from csms.storage.place import remedy
from csms.storage.rows import Statement, latest, rows_of

T = TypeVar("T")
Job = Callable[[sa.Connection], Any]
_Step = tuple[str, list[Any]]
_Outcome = tuple["asyncio.Future[Any]", Any, "Exception | None"]

_CHUNKS = (64, 32, 16, 8, 4, 2, 1)  # Few sizes, so that each statement is prepared once.
_BUSY = 1.0  # s that SQLite itself waits for a lock.
_PROBE = 1.0  # s between looks whether a database that failed is well again, while nobody writes.
_MOST_UNITS = 2_000  # In one commit: bounds the wait of the first for the last.

# What is wrong with a unit, not with the database: trying again cannot help.
_ABOUT_THE_ROWS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError)

log = structlog.get_logger()


class _Group(NamedTuple):
    """Units that are committed together. `steps`: the SQL and values that write them, or why there are none."""

    units: list[tuple[Unit, asyncio.Future[None]]]
    steps: list[_Step] | Exception


class SqliteWriter:
    """Commits units and runs jobs, one after the other, in its own thread."""

    def __init__(self, path: str, *, synchronous: str = "FULL", patience: float = 25.0):
        """`patience`: how long a failing commit is tried again before its units are given back (seconds)."""
        self._path = path
        self._synchronous = synchronous
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Unit | Job, asyncio.Future[Any]]] = deque()  # The loop's alone.
        self._handed: SimpleQueue[_Group | tuple[Job, asyncio.Future[Any]] | None] = SimpleQueue()
        self._pace = Pace()
        self._busy = False  # The thread has something, or will have it in this turn of the loop.
        self._idle: asyncio.Future[None] | None = None  # Set: somebody waits until there is nothing left to do.
        self._stopping = False
        self.failing = False  # Nothing can be stored at the moment: new stations are better sent away.
        self.on_commit: Callable[[], None] | None = None  # Called in the loop when events may have been stored.
        self._engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.StaticPool)
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="csms-writer", daemon=True)
        self._thread.start()

    def commit(self, unit: Unit) -> asyncio.Future[None]:
        return self._put(unit)

    def run(self, job: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Run `job` in a transaction of its own; it is rolled back if the job raises."""
        return self._put(job)

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._stopping = True
        if self._busy:
            self._idle = self._idle or self._loop.create_future()
            await asyncio.shield(self._idle)
        self._handed.put(None)
        await asyncio.to_thread(self._thread.join)

    def _put(self, work: Unit | Job) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        if self._stopping:
            future.set_exception(StorageUnavailable("the server is stopping"))
            return future
        self._waiting.append((work, future))
        if not self._busy:
            self._busy = True
            self._schedule()
        return future

    def _schedule(self) -> None:
        """Let the next commit begin: with what else this turn of the loop brings, or a little later."""
        wait = 0.0 if self._stopping else self._pace.wait(self._loop.time(), len(self._waiting))
        if wait:
            self._loop.call_later(wait, self._hand_over)
        else:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """Give the thread what waits: units together, a job alone."""
        waiting = self._waiting
        self._pace.begin(self._loop.time(), len(waiting))
        units: list[tuple[Unit, asyncio.Future[None]]] = []
        while waiting and len(units) < _MOST_UNITS and isinstance(waiting[0][0], Unit):
            units.append(waiting.popleft())
        self._handed.put(_Group(units, _steps(units)) if units else waiting.popleft())

    def _settled(self, outcomes: list[_Outcome], events: bool) -> None:
        if self._waiting:
            self._schedule()
        else:
            self._busy = False
            if self._idle is not None:
                self._idle.set_result(None)
        if events and self.on_commit is not None:
            self.on_commit()
        for future, result, error in outcomes:
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    # In the thread.

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=200, timeout=_BUSY
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        connection.execute("PRAGMA cache_size=-65536")
        # What a failed sync left in the WAL looks committed after a restart, and is on no disk: nothing may be built
        # upon it before it is written anew, into the main file. (A reader, as a backup, may put that off.)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return connection

    def _run(self) -> None:
        while True:
            try:
                work = self._handed.get(timeout=_PROBE if self.failing else None)
            except Empty:
                self._probe()
                continue
            if work is None:
                break
            if isinstance(work, _Group):
                outcomes = self._commit_all(work)
                events = any(unit.events for unit, _ in work.units)
            else:  # What a job stores is its own affair: the few there are may all have events.
                outcomes, events = [self._run_job(*work)], True
            self._loop.call_soon_threadsafe(self._settled, outcomes, events)
        self._engine.dispose()

    def _probe(self) -> None:
        """While writing fails no station is let in, so none would write and find out that it works again (D5, D6)."""
        self._patiently(lambda connection: connection.execute("PRAGMA user_version=0"))

    def _commit_all(self, group: _Group) -> list[_Outcome]:
        """Together if possible; else one by one, so that a bad one never fails its neighbours."""
        units, steps = group
        if isinstance(steps, Exception):
            error: Exception | None = steps
        else:
            error = self._patiently(lambda connection: _write(connection, steps))
        if error is None:
            return [(future, None, None) for _, future in units]
        if isinstance(error, StorageUnavailable) or len(units) == 1:
            return [(future, None, error) for _, future in units]
        return [outcome for pair in units for outcome in self._commit_all(_Group([pair], _steps([pair])))]

    def _patiently(self, write: Callable[[sqlite3.Connection], None]) -> Exception | None:
        """Write and commit; while the database cannot (locked, full, unreadable), try again within the patience."""
        until = time.monotonic() + (0 if self.failing else self._patience)
        pause = 0.02
        while True:
            try:
                self._transact(write)
            except _ABOUT_THE_ROWS as error:
                return error
            except sqlite3.Error as error:
                if not self.failing:
                    log.error("storage.failing", error=str(error), remedy=remedy(error))
                self.failing = True
                if time.monotonic() >= until or self._stopping:
                    return StorageUnavailable(str(error))
                time.sleep(pause)
                pause = min(pause * 2, 1.0)
            except Exception as error:
                log.exception("storage.unit_unwritable")
                return error
            else:
                if self.failing:
                    log.warning("storage.recovered")
                self.failing = False
                return None

    def _transact(self, write: Callable[[sqlite3.Connection], None]) -> None:
        if self._connection is None:
            self._connection = self._engine.raw_connection().driver_connection
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            write(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _run_job(self, job: Job, future: asyncio.Future[Any]) -> _Outcome:
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    result = job(connection)
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    if connection.connection.driver_connection.in_transaction:
                        connection.exec_driver_sql("ROLLBACK")
                    raise
            return future, result, None
        except sa.exc.DatabaseError as error:
            if isinstance(error.orig, _ABOUT_THE_ROWS):
                return future, None, error
            unavailable = StorageUnavailable(str(error.orig))
            unavailable.__cause__ = error.orig
            return future, None, unavailable
        except Exception as error:
            return future, None, error


def _steps(units: list[tuple[Unit, asyncio.Future[None]]]) -> list[_Step] | Exception:
    """What writes these units, in order, or why one of them cannot be written."""
    steps: list[_Step] = []
    try:
        rows_by_statement = rows_of([unit for unit, _ in units])
    except Exception as error:
        log.exception("storage.unit_unwritable")
        return error
    for statement, rows in rows_by_statement.items():
        if statement.update or statement.upsert:
            rows = latest(rows, statement.keys)
        start = 0
        for size in _CHUNKS:
            while len(rows) - start >= size:
                values = [value for row in rows[start : start + size] for value in row]
                steps.append((_sql(statement, size), values))
                start += size
    return steps


def _write(connection: sqlite3.Connection, steps: list[_Step]) -> None:
    for sql, values in steps:
        connection.execute(sql, values)


@cache
def _sql(statement: Statement, rows: int) -> str:
    """The SQL that writes this many rows at once: one step of the engine, so the thread gives up the GIL once."""
    table = statement.table.name
    marks = ",".join(["(" + ",".join("?" * len(statement.columns)) + ")"] * rows)
    if statement.update:
        moving = enumerate(statement.columns[statement.keys :], statement.keys + 1)
        assignments = ", ".join(f'"{column}"=v.column{number}' for number, column in moving)
        found = " AND ".join(
            f'{table}."{column}"=v.column{number}'
            for number, column in enumerate(statement.columns[: statement.keys], 1)
        )
        return f"UPDATE {table} SET {assignments} FROM (VALUES {marks}) AS v WHERE {found}"
    columns = ", ".join(f'"{column}"' for column in statement.columns)
    sql = f"INSERT INTO {table} ({columns}) VALUES {marks}"
    if statement.upsert:
        keys = ", ".join(f'"{column}"' for column in statement.columns[: statement.keys])
        moving = ", ".join(f'"{column}"=excluded."{column}"' for column in statement.columns[statement.keys :])
        sql += f" ON CONFLICT ({keys}) DO UPDATE SET {moving}"
    return sql
