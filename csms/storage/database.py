"""Opens the database a URL names: lock, migrations, the writer and the readers."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from csms.domain.ports import StorageUnavailable
from csms.domain.unit import Unit
from csms.storage.lookups import Lookups
from csms.storage.place import DatabaseError, DatabaseLocked, is_postgres, remedy, sqlite_path
from csms.storage.sqlite import SqliteWriter

MIGRATIONS = Path(__file__).with_name("migrations")
_CHECKED_SIZE = 256 << 20  # Bytes up to which a file is read whole at every start, to see that it is not damaged.
_LOCK_WAIT = 5.0  # s

Job = Callable[[sa.Connection], Any]


class Writer(Protocol):
    """What writes: units in groups, jobs in transactions of their own, in the order in which they were put."""

    failing: bool
    on_commit: Callable[[], None] | None

    def commit(self, unit: Unit) -> asyncio.Future[None]: ...
    def run(self, job: Callable[[sa.Connection], Any]) -> asyncio.Future[Any]: ...
    async def close(self) -> None: ...


class LooksUp(Protocol):
    def rows(self, query: sa.Executable, **values: Any) -> asyncio.Future[list[Any]]: ...
    def together(self, queries: Sequence[sa.Executable], **values: Any) -> Awaitable[list[list[Any]]]: ...
    async def close(self) -> None: ...


@dataclass(frozen=True)
class Database:
    """An open database. Everything is written through `writer`; `reader` and `lookups` see what was committed.

    Messages wait for `lookups`, people for `reader`: a long list never holds a station up. `path`: the file, or (with
    PostgreSQL) where this node's control socket stands. `upkeep` runs what is large and may wait, in a transaction of
    its own: where it can be, beside the writer.
    """

    writer: Writer
    lookups: LooksUp
    reader: AsyncEngine
    path: Path
    lock: IO[str]
    upkeep: Callable[[Job], Awaitable[Any]]

    async def close(self) -> None:
        await self.writer.close()
        await self.lookups.close()
        await self.reader.dispose()
        self.lock.close()


def lock_database(path: Path) -> IO[str]:
    """Take the exclusive lock that says «I am the one process that writes»; DatabaseLocked when it is taken."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(path.with_name(path.name + ".lock"), "a+")
    except OSError as error:
        raise DatabaseError(f"Cannot write to {path.parent} ({error}). Choose another CSMS_DATABASE_URL.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        handle.close()
        raise DatabaseLocked(f"{path} is in use by process {holder}. Stop that server first, or talk to it.") from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def migrate(path: Path) -> tuple[str | None, str]:
    """Bring the schema up to date; returns the revisions (before, after). The caller holds the lock.

    A new file is its owner's alone, and so are those that SQLite puts beside it. One that is there stays as it is.
    """
    with suppress(OSError):  # SQLite tells what is wrong.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": _LOCK_WAIT})
    try:
        with engine.connect() as connection:
            _check(connection, path)
            revisions = upgrade(connection)
            connection.commit()
            return revisions
    except CommandError as error:
        raise DatabaseError(
            f"{path} was written by a newer version of this program ({error}). Use that one."
        ) from error
    except sa.exc.DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise DatabaseLocked(f"{path} is locked. End the program that holds it open.") from error
        raise DatabaseError(f"{path} cannot be used as a database: {error.orig}. {remedy(error.orig)}") from error
    finally:
        engine.dispose()


def upgrade(connection: sa.Connection) -> tuple[str | None, str]:
    """Run what migrations there are on this connection; returns the revisions (before, after)."""
    before = _revision(connection)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return before, _revision(connection) or ""


async def migrate_database(url: str) -> tuple[str | None, str]:
    """Bring the schema up to date without a server; returns the revisions (before, after)."""
    if is_postgres(url):
        return await _postgres().migrate_postgres(url)
    path = sqlite_path(url)
    with lock_database(path):
        return migrate(path)


def _postgres() -> Any:
    try:
        from csms.storage import postgres_database
    except ImportError:
        raise DatabaseError("PostgreSQL needs its driver: pip install 'csms[postgres]'") from None
    return postgres_database


async def open_database(url: str, *, synchronous: str = "FULL", patience: float = 25.0) -> Database:
    """Lock, migrate and open. DatabaseLocked when a server runs on it, DatabaseError with the remedy otherwise."""
    if is_postgres(url):
        return await _postgres().open_postgres(url, patience=patience)
    path = sqlite_path(url)
    lock = lock_database(path)
    try:
        migrate(path)
        writer = await _writer(path, synchronous, patience)
    except BaseException:
        lock.close()
        raise
    return Database(writer, Lookups(str(path)), _reader(path), path, lock, writer.run)


async def _writer(path: Path, synchronous: str, patience: float) -> SqliteWriter:
    writer = SqliteWriter(str(path), synchronous=synchronous, patience=patience)
    try:
        await writer.run(lambda connection: None)  # WAL exists from here on, as readers need.
    except StorageUnavailable as error:
        await writer.close()
        kind = DatabaseLocked if "locked" in str(error) else DatabaseError
        raise kind(f"{path} cannot be written ({error}). {remedy(error.__cause__)}") from error
    return writer


def _reader(path: Path) -> AsyncEngine:
    url = sa.URL.create("sqlite+aiosqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
    engine = create_async_engine(url, pool_size=2, max_overflow=2, pool_timeout=60)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA cache_size=-16384")

    return engine


def _check(connection: sa.Connection, path: Path) -> None:
    """Notice a damaged file before serving from it (D7); the quick check reads every page once."""
    if path.stat().st_size > _CHECKED_SIZE:
        return
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise DatabaseError(f"{path} is damaged ({found}). Restore it from a backup.")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
