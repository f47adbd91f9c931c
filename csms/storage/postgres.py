"""What a node writes to PostgreSQL: units that wait are committed together, then answered; jobs have transactions of their own.

A resolved future means that PostgreSQL has the rows on disk (synchronous_commit is on). There is no timer: a commit takes
whatever has gathered while the one before it was being synced. When the connection is lost between COMMIT and its reply,
PostgreSQL is asked what became of the transaction (`storage.fate`): nothing is written twice, nothing acknowledged is
lost (D3). A job is a function of what it reads, as with SQLite, where it is alone: it runs SERIALIZABLE, and again when
another node's transaction came in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.domain.ports import Outdated, StorageUnavailable
from csms.domain.unit import Unit
from csms.storage.fate import Connect, Fate, Unregistered
from csms.storage.nodes import holding_lock
from csms.storage.place import remedy
from csms.storage.postgres_sql import INSERT_READY, LOCK_ALL, Steps, numbers, sql_of, steps_of
from csms.storage.rows import INSERT_EVENTS, Rows, rows_of

T = TypeVar("T")
Job = Callable[[sa.Connection], Any]
_Work = tuple["Unit | Job", "asyncio.Future[Any]"]

_MOST_UNITS = 2_000  # In one commit: bounds the wait of the first for the last.
_GOODBYE = 2.0  # s
_PROBE = 1.0  # s between looks whether a database that failed is well again, while nobody writes.
_LOOK = 5.0  # s between looks whether it is still there, while nobody writes.
_SLOW = 3.0  # s after which a commit that is under way counts as failing.
_TRIES, _TRIES_TAKEN = 20, 3  # Of a job that others come in between of.

# Classes of SQLSTATE that are about the database, not about what was written: it may go well the next time.
_ABOUT_THE_DATABASE = ("08", "25", "28", "3D", "40", "53", "55", "57", "58", "F0", "XX")
_IN_BETWEEN = ("40001", "40P01")  # Serialization failure, deadlock.
_TAKEN = "23505"  # A unique key: somebody else inserted what a job had looked for in vain.
# The last: PostgreSQL said goodbye, and the end of the connection has not come yet.
_AWAY = (OSError, EOFError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

log = structlog.get_logger()


class Unheld(Outdated):
    """Some units are of stations that this node does not hold (any longer), as (station, epoch)."""

    def __init__(self, holdings: set[tuple[int, int]]):
        super().__init__("another node speaks for the station now")
        self.holdings = holdings


class PostgresWriter:
    """Commits units in groups on one connection; runs jobs, one after the other, on another one."""

    def __init__(self, engine: AsyncEngine, connect: Connect, *, patience: float = 25.0):
        """`engine`: for jobs. `connect` opens a connection of the driver; `patience`: s that a failing commit is tried."""
        self._engine = engine
        self._connect = connect
        self._patience = patience
        self._units: deque[_Work] = deque()
        self._jobs: deque[_Work] = deque()
        self._wake_units, self._wake_jobs = asyncio.Event(), asyncio.Event()
        self._fate, self._fate_of_jobs = Fate(connect), Fate(connect)
        self._stopping = False
        self._connection: asyncpg.Connection | None = None
        self.node: int | None = None  # Which of several nodes writes: its units count for stations that it holds.
        self.failing = False  # Nothing can be stored at the moment: new stations are better sent away.
        self.on_commit: Callable[[], None] | None = None  # Called when events may have been stored.
        self._tasks = {
            asyncio.create_task(self._run_units(), name="postgres-units"),
            asyncio.create_task(self._run_jobs(), name="postgres-jobs"),
        }

    def commit(self, unit: Unit) -> asyncio.Future[None]:
        return self._put(unit, self._units, self._wake_units)

    def run(self, job: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Run `job` in a transaction of its own; it is rolled back if the job raises. It may run more than once."""
        return self._put(job, self._jobs, self._wake_jobs)

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._stopping = True
        self._wake_units.set()
        self._wake_jobs.set()
        await asyncio.wait(self._tasks)
        if self._connection is not None:
            with contextlib.suppress(*_AWAY):
                await self._connection.close(timeout=_GOODBYE)
        await self._engine.dispose()

    def _put(self, work: Unit | Job, queue: deque[_Work], wake: asyncio.Event) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        if self._stopping:
            future.set_exception(StorageUnavailable("the server is stopping"))
            return future
        queue.append((work, future))
        wake.set()
        return future

    # Units.

    async def _run_units(self) -> None:
        while True:
            if self._units:
                await self._commit_units()
            elif self._stopping:
                return
            else:
                await self._rest()

    async def _rest(self) -> None:
        self._wake_units.clear()
        try:
            async with asyncio.timeout(_PROBE if self.failing else _LOOK):
                await self._wake_units.wait()
        except TimeoutError:
            pass
        if not (self._units or self._stopping):
            await self._probe()

    async def _probe(self) -> None:
        """Is it there; while it fails: could we write? (No station is let in then, so none would find out.)"""
        watch = self._watch()
        try:
            if self.failing:
                await self._transact({}, LOCK_ALL)
            else:
                await (await self._connected()).execute("SELECT 1")
            self._well()
        except Exception as error:
            self._leave()
            self._ill(error)
        finally:
            watch.cancel()

    async def _commit_units(self) -> None:
        batch: list[_Work] = []
        while self._units and len(batch) < _MOST_UNITS:
            batch.append(self._units.popleft())
        await self._commit_batch(batch)
        if self.on_commit is not None and any(unit.events for unit, _ in batch):
            self.on_commit()

    async def _commit_batch(self, batch: list[_Work]) -> None:
        """Together if possible; else in halves, so that a bad row never fails its neighbours, nor costs many commits."""
        if not batch:
            return
        error = await self._patiently([unit for unit, _ in batch])
        if isinstance(error, Unheld):
            _settle([work for work in batch if _holding(work[0]) in error.holdings], error)
            await self._commit_batch([work for work in batch if _holding(work[0]) not in error.holdings])
            return
        if error is None or isinstance(error, StorageUnavailable) or len(batch) == 1:
            _settle(batch, error)
            return
        half = len(batch) // 2
        await self._commit_batch(batch[:half])
        await self._commit_batch(batch[half:])

    async def _patiently(self, units: list[Unit]) -> Exception | None:
        """Write and commit; while the database cannot (away, slow, in recovery), try again within the patience."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + (0 if self.failing else self._patience), 0.05
        while True:
            watch = self._watch()
            try:
                await self._transact(rows_of(units), held={_holding(unit) for unit in units})
            except Unheld as error:
                return error
            except Exception as error:
                if _is_about_the_rows(error):
                    if not isinstance(error, _AWAY):
                        log.exception("storage.unit_unwritable")
                    return error
                if getattr(error, "sqlstate", None) in _IN_BETWEEN and loop.time() < until:
                    continue
                self._ill(error)
                if loop.time() >= until or self._stopping or isinstance(error, StorageUnavailable):
                    return _unavailable(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
            else:
                self._well()
                return None
            finally:
                watch.cancel()

    async def _transact(self, rows: Rows, also: str = "", held: Collection[tuple[int, int]] = ()) -> None:
        """One transaction; when this returns it is kept, whatever happened to its connection."""
        steps = steps_of(rows)
        connection = await self._connected()
        mark, backend, asked = await self._fate.mark(connection), connection.get_server_pid(), False
        try:
            node = self.node if held else None
            lock = "" if node is None else f"{holding_lock(node)}; "
            if await connection.execute(f"BEGIN; {lock}{mark}") != "UPDATE 1":
                raise self._fate.missed()
            if steps or node is not None:
                await _write(connection, steps, held, node)
            if INSERT_EVENTS in rows:  # Their order is one for all nodes: who inserts holds the others up.
                also = INSERT_READY
            asked = True
            done = await connection.execute(f"{also}; COMMIT" if also else "COMMIT")
            if done != "COMMIT":
                raise ConnectionError(f"PostgreSQL answered COMMIT with {done}")
        except Exception as error:
            if _is_over(error) or isinstance(error, Unheld):
                await self._roll_back(connection)
                if node is not None and not isinstance(error, Unheld):  # Another node's rows were in the way: no fault.
                    await _check_held(connection, held, node)
                raise
            self._leave()
            if not (asked and await self._was_committed(self._fate, backend)):
                raise

    async def _was_committed(self, fate: Fate, backend: int) -> bool:
        found = await fate.committed(backend, self._patience, self._ill)
        if found is None:  # It may still be kept: it must neither be written again nor be acknowledged.
            raise StorageUnavailable("PostgreSQL does not tell what became of a transaction")
        return found

    # Jobs.

    async def _run_jobs(self) -> None:
        while True:
            if self._jobs:
                job, future = self._jobs.popleft()
                await self._run_job(job, future)
            elif self._stopping:
                return
            else:
                self._wake_jobs.clear()
                await self._wake_jobs.wait()

    async def _run_job(self, job: Job, future: asyncio.Future[Any]) -> None:
        if future.cancelled():  # Nobody waits for it any longer; what is slow must not get slower by what was given up.
            return
        try:
            result = await self._again_and_again(job)
        except Exception as error:
            if not future.done():
                future.set_exception(error)
            return
        if self.on_commit is not None:
            self.on_commit()
        if not future.done():
            future.set_result(result)

    async def _again_and_again(self, job: Job) -> Any:
        for number in range(1, _TRIES + 1):
            try:
                return await self._attempt(job)
            except (sa.exc.DBAPIError, *_AWAY) as error:
                cause = _cause(error)
                state = getattr(cause, "sqlstate", None)
                in_between = state in _IN_BETWEEN or (state == _TAKEN and number < _TRIES_TAKEN)
                if number < _TRIES and (in_between or isinstance(error, Unregistered)):
                    await asyncio.sleep(0.005 * number)
                    continue
                if _is_about_the_rows(cause):
                    raise
                if state not in _IN_BETWEEN:
                    self._ill(cause)
                raise _unavailable(cause) from error
        raise AssertionError("the last attempt returned or raised")

    async def _attempt(self, job: Job) -> Any:
        asked, backend, watch = False, 0, self._watch()
        try:
            async with self._engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                mark, backend = await self._fate_of_jobs.mark(driver), driver.get_server_pid()
                if (await connection.execute(sa.text(mark))).rowcount != 1:
                    raise self._fate_of_jobs.missed()
                result = await connection.run_sync(job)
                asked = True
                await connection.commit()
                return result
        except (sa.exc.DBAPIError, *_AWAY) as error:
            if asked and not _is_over(_cause(error)) and await self._was_committed(self._fate_of_jobs, backend):
                return result
            raise
        finally:
            watch.cancel()

    # The connection.

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            self._connection.add_termination_listener(self._lost)
        return self._connection

    def _lost(self, connection: Any) -> None:
        if connection is self._connection:  # While nobody writes nobody would notice.
            self._wake_units.set()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _roll_back(self, connection: asyncpg.Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except Exception:
            self._leave()

    def _watch(self) -> asyncio.TimerHandle:
        slow = TimeoutError(f"it takes longer than {_SLOW:g} s")
        return asyncio.get_running_loop().call_later(_SLOW, self._ill, slow)

    def _ill(self, error: BaseException) -> None:
        if not self.failing:
            log.error("storage.failing", error=str(error) or type(error).__name__, remedy=remedy(error))
        self.failing = True

    def _well(self) -> None:
        if self.failing:
            log.warning("storage.recovered")
        self.failing = False


async def _write(
    connection: asyncpg.Connection, steps: Steps, held: Collection[tuple[int, int]], node: int | None
) -> None:
    """All rows but the events, which are laid ready; Unheld (found with the first) leaves the transaction to be undone."""
    asked = _asked(held, node)
    for statements, columns in steps or [((), [])]:
        _check(await connection.fetchval(sql_of(statements, bool(asked)), *asked, *columns))
        asked = ()


async def _check_held(connection: asyncpg.Connection, held: Collection[tuple[int, int]], node: int) -> None:
    _check(await connection.fetchval(sql_of((), held=True), *_asked(held, node)))


def _asked(held: Collection[tuple[int, int]], node: int | None) -> tuple:
    return () if node is None else (*map(numbers, zip(*held, strict=True)), node)


def _check(unheld: list[list[int]] | None) -> None:
    if unheld:
        raise Unheld({(station, epoch) for station, epoch in unheld})


def _holding(unit: Unit) -> tuple[int, int]:
    return unit.station.id, unit.station.epoch


def _settle(batch: list[_Work], error: Exception | None) -> None:
    for _, future in batch:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _cause(error: BaseException) -> BaseException:
    """The driver's own error inside of SQLAlchemy's."""
    told = getattr(error, "orig", None)
    return error if told is None else told.__cause__ or told


def _unavailable(error: BaseException) -> StorageUnavailable:
    return error if isinstance(error, StorageUnavailable) else StorageUnavailable(str(error) or type(error).__name__)


def _is_over(error: BaseException) -> bool:
    """The server itself says that the transaction failed, and goes on talking with us."""
    if isinstance(error, asyncpg.DataError):
        return True  # Of the driver (nothing was sent), or an ERROR as others.
    if not isinstance(error, asyncpg.PostgresError) or error.severity_en != "ERROR":
        return False
    return not error.sqlstate.startswith("25")  # Read only: this server is not the one to write to any longer.


def _is_about_the_rows(error: BaseException) -> bool:
    """Trying again cannot help, and the neighbours of whatever it is about are not to suffer."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return state[:2] not in _ABOUT_THE_DATABASE
    return not isinstance(error, (*_AWAY, StorageUnavailable)) or isinstance(error, asyncpg.DataError)
