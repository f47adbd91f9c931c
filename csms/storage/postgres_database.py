"""Opens a PostgreSQL database: migrations, the writer, and the connections that read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO, Any

import asyncpg
import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from csms.storage.database import Database, Job, lock_database, upgrade
from csms.storage.fate import NODE
from csms.storage.place import MOST_NODES, DatabaseError, DatabaseLocked, places_of, shown
from csms.storage.postgres import PostgresWriter

_MIGRATING = 7_203_514  # The advisory lock of whoever migrates.
_CONNECT = 5.0  # s
_COMMAND = 15.0  # s
# A node that is cut off in the middle of a transaction holds nobody up for longer (the outbox is written in turn).
_SERVER = {"idle_in_transaction_session_timeout": "5000", "application_name": NODE, "jit": "off"}
# Which index serves a listing depends on the values that it is filtered by: no plan is good for all of them.
# Nor may it depend on where others scan a table how soon the first of its rows are found.
_READING = _SERVER | {
    "default_transaction_read_only": "on", "plan_cache_mode": "force_custom_plan", "synchronize_seqscans": "off",
}  # fmt: skip
_WRITING = _SERVER | {"lock_timeout": "2500"}  # ms; who waits for longer says that it fails, and tries again.
# Where the server's own setting is stronger (remote_apply), it stays.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"


class PostgresLookups:
    """Look-ups on the way of a message. While the database is away they are held, as commits are."""

    def __init__(self, engine: AsyncEngine, patience: float):
        self._engine = engine
        self._patience = patience
        self.engine = engine.sync_engine

    def rows(self, query: sa.Executable, **values: Any) -> asyncio.Future[list[Any]]:
        return asyncio.ensure_future(self._rows(query, values))

    async def together(self, queries: Sequence[sa.Executable], **values: Any) -> list[list[Any]]:
        """What each of these queries finds with the same values."""
        return await asyncio.gather(*(self._rows(query, values) for query in queries))

    async def change(self, query: sa.Executable, **values: Any) -> list[Any]:
        """A statement that does no harm when it is repeated; what it did is kept when this returns."""
        async with self._engine.begin() as connection:
            return list((await connection.execute(query, values)).all())

    async def close(self) -> None:
        await self._engine.dispose()

    async def _rows(self, query: sa.Executable, values: dict[str, Any]) -> list[Any]:
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._patience, 0.0
        while True:
            try:
                async with self._engine.connect() as connection:
                    return list((await connection.execute(query, values)).all())
            except (OSError, sa.exc.DBAPIError) as error:
                away = isinstance(error, OSError) or error.connection_invalidated or _is_starting(error.orig)
                if not away or loop.time() + pause >= until:
                    raise
            await asyncio.sleep(pause)  # At first at once: connections of before a restart are of no use.
            pause = min(pause * 2, 1.0) or 0.05


def _is_starting(error: BaseException | None) -> bool:
    return (getattr(error, "sqlstate", None) or "").startswith("57P")


async def open_postgres(url: str, *, patience: float) -> Database:
    """Migrate and open; DatabaseError with the remedy when that cannot be."""
    await migrate_postgres(url)
    lock, path = _own_place(url)
    jobs = _engine(url, _WRITING, size=1, isolation_level="SERIALIZABLE")
    _make_durable(jobs)
    writer = PostgresWriter(jobs, lambda: connect_to_write(url), patience=patience)
    lookups = PostgresLookups(_engine(url, _SERVER, size=4), patience)
    reader = _engine(url, _READING, size=4)
    return Database(writer, lookups, reader, path, lock, _upkeep(url))


async def migrate_postgres(url: str) -> tuple[str | None, str]:
    """Bring the schema up to date, one node at a time; returns the revisions (before, after)."""
    # A large index takes its time, and the other nodes wait for it.
    engine = _engine(url, {"application_name": NODE}, size=1, isolation_level="READ COMMITTED", command=None)
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            revisions = await connection.run_sync(upgrade)
            await connection.commit()
            return revisions
    except CommandError as error:
        raise DatabaseError(
            f"{shown(url)} was written by a newer version of this program ({error}). Use that one."
        ) from error
    except (OSError, sa.exc.DBAPIError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"{shown(url)} cannot be used ({cause}). Is PostgreSQL running there, and may this user use the database?"
        ) from error
    finally:
        await engine.dispose()


def _upkeep(url: str) -> Callable[[Job], Awaitable[Any]]:
    """Jobs that may take minutes have a connection of their own, for as long as each takes."""
    settings = _WRITING | {"synchronous_commit": "on"}
    engine = _engine(url, settings, size=1, isolation_level="READ COMMITTED", command=None, pooled=False)

    async def run(job: Job) -> Any:
        async with engine.begin() as connection:
            return await connection.run_sync(job)

    return run


def _own_place(url: str) -> tuple[IO[str], Path]:
    """A place for this node's control socket, and its lock: several nodes may run in one folder."""
    for place in places_of(url):
        try:
            return lock_database(place), place
        except DatabaseLocked:
            continue
    raise DatabaseLocked(f"{MOST_NODES} nodes run on this machine already. Run this one as another user.")


def _engine(
    url: str, settings: dict[str, str], *, size: int, isolation_level: str = "AUTOCOMMIT",
    command: float | None = _COMMAND, pooled: bool = True,
) -> AsyncEngine:  # fmt: skip
    pool = {"pool_size": size, "max_overflow": 0, "pool_timeout": 60} if pooled else {"poolclass": sa.NullPool}
    engine = create_async_engine(
        sa.make_url(url).set(drivername="postgresql+asyncpg"), **pool,
        isolation_level=isolation_level, pool_pre_ping=isolation_level == "SERIALIZABLE",
        connect_args={"server_settings": settings, "timeout": _CONNECT, "command_timeout": command},
    )  # fmt: skip
    sa.event.listen(engine.sync_engine, "handle_error", _leave_after_a_goodbye, retval=True)
    return engine


def _leave_after_a_goodbye(failure: sa.engine.ExceptionContext) -> BaseException | None:
    """PostgreSQL announced the end of a connection that is still open: SQLAlchemy does not know the driver's error."""
    if not isinstance(failure.original_exception, asyncpg.InternalClientError):
        return None
    failure.is_disconnect = True
    return ConnectionError(str(failure.original_exception))


def _make_durable(engine: AsyncEngine) -> None:
    @sa.event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.run_async(lambda driver: driver.execute(_DURABLE))


async def connect_to_write(url: str) -> asyncpg.Connection:
    dsn = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn, timeout=_CONNECT, command_timeout=_COMMAND, server_settings=_WRITING)
    await connection.execute(_DURABLE)
    return connection
