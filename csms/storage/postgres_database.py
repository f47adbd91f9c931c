"""Opens a PostgreSQL database: migrations, the writer, and the connections that read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import IO, Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from csms.storage.database import Database, lock_database, upgrade
from csms.storage.place import DatabaseError, DatabaseLocked, place_of, shown
from csms.storage.postgres import PostgresWriter

_MIGRATING = 7_203_514  # The advisory lock of whoever migrates.
_CONNECT = 10.0  # s
_COMMAND = 30.0  # s
_NODES = 64  # On one machine, in one folder.
# A node that is cut off in the middle of a transaction holds nobody up for longer (the outbox is written in turn).
_SERVER = {"idle_in_transaction_session_timeout": "10000", "application_name": "csms", "jit": "off"}


class PostgresLookups:
    """Look-ups on the way of a message."""

    def __init__(self, engine: AsyncEngine):
        self._engine = engine
        self.engine = engine.sync_engine

    def rows(self, query: sa.Executable, **values: Any) -> asyncio.Future[list[Any]]:
        return asyncio.ensure_future(self._rows(query, values))

    async def close(self) -> None:
        await self._engine.dispose()

    async def _rows(self, query: sa.Executable, values: dict[str, Any]) -> list[Any]:
        async with self._engine.connect() as connection:
            return list((await connection.execute(query, values)).all())


async def open_postgres(url: str, *, patience: float) -> Database:
    """Migrate and open; DatabaseError with the remedy when that cannot be."""
    await migrate_postgres(url)
    lock, path = _own_place(place_of(url))
    writer = PostgresWriter(_engine(url, size=1), lambda: _connected(url), patience=patience)
    return Database(writer, PostgresLookups(_engine(url, size=4)), _engine(url, size=4, read_only=True), path, lock)


async def migrate_postgres(url: str) -> tuple[str | None, str]:
    """Bring the schema up to date, one node at a time; returns the revisions (before, after)."""
    engine = _engine(url, size=1)
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            revisions = await connection.run_sync(upgrade)
            await connection.commit()
            return revisions
    except (OSError, sa.exc.DBAPIError, asyncpg.PostgresError, TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"{shown(url)} cannot be used ({cause}). Is PostgreSQL running there, and may this user use the database?"
        ) from error
    finally:
        await engine.dispose()


def _own_place(path: Path) -> tuple[IO[str], Path]:
    """A place for this node's control socket, and its lock: several nodes may run in one folder."""
    for number in range(1, _NODES + 1):
        place = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            return lock_database(place), place
        except DatabaseLocked:
            continue
    raise DatabaseLocked(f"{_NODES} nodes run in {path.parent} already. Run this one in another folder.")


def _engine(url: str, *, size: int, read_only: bool = False) -> AsyncEngine:
    settings = _SERVER | ({"default_transaction_read_only": "on"} if read_only else {})
    return create_async_engine(
        sa.make_url(url).set(drivername="postgresql+asyncpg"), pool_size=size, max_overflow=size, pool_timeout=60,
        pool_pre_ping=True,
        connect_args={"server_settings": settings, "timeout": _CONNECT, "command_timeout": _COMMAND},
    )  # fmt: skip


def _connected(url: str) -> Any:
    dsn = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return asyncpg.connect(
        dsn, timeout=_CONNECT, command_timeout=_COMMAND, server_settings=_SERVER | {"synchronous_commit": "on"}
    )
