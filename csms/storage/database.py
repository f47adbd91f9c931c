"""Opens the database a URL names: lock, migrations, the writer and the readers."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from csms.storage.sqlite import SqliteWriter

MIGRATIONS = Path(__file__).with_name("migrations")


class DatabaseError(Exception):
    """The database cannot be used; the message says what to do."""


class DatabaseLocked(DatabaseError):
    """Another process holds the database: a running server, or a command at work."""


@dataclass(frozen=True)
class Database:
    """An open database. Everything is written through `writer`; `reader` sees what was committed."""

    writer: SqliteWriter
    reader: AsyncEngine
    path: Path
    lock: IO[str]

    async def close(self) -> None:
        await self.writer.close()
        await self.reader.dispose()
        self.lock.close()


def sqlite_path(url: str) -> Path:
    """The file that `sqlite:///path` names (driver names are optional); DatabaseError for other databases."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise DatabaseError(f"CSMS_DATABASE_URL is no database URL: {url!r}. Write sqlite:///csms.db") from None
    if parsed.get_backend_name() != "sqlite":
        raise DatabaseError(
            f"This version keeps its data in SQLite only, not in {parsed.get_backend_name()}: "
            "set CSMS_DATABASE_URL to sqlite:///path"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise DatabaseError("The database must be a file, so that it survives: set CSMS_DATABASE_URL to sqlite:///path")
    return Path(parsed.database).absolute()


def lock_database(path: Path) -> IO[str]:
    """Take the exclusive lock that says «I am the one process that writes»; DatabaseLocked when it is taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = open(path.with_name(path.name + ".lock"), "a+")
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
    """Bring the schema up to date; returns the revisions (before, after). The caller holds the lock."""
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            _check(connection, path)
            before = _revision(connection)
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
            return before, _revision(connection) or ""
    except sa.exc.DatabaseError as error:
        raise DatabaseError(f"{path} cannot be used as a database: {error.orig}. Restore it from a backup.") from error
    finally:
        engine.dispose()


async def open_database(url: str, *, synchronous: str = "FULL", patience: float = 25.0) -> Database:
    """Lock, migrate and open. DatabaseLocked when a server runs on it, DatabaseError with the remedy otherwise."""
    path = sqlite_path(url)
    try:
        lock = lock_database(path)
    except PermissionError as error:
        raise DatabaseError(f"No permission to write {path.parent}. Choose another CSMS_DATABASE_URL.") from error
    try:
        migrate(path)
        writer = SqliteWriter(str(path), synchronous=synchronous, patience=patience)
        await writer.run(lambda connection: None)  # WAL exists from here on, as readers need.
    except BaseException:
        lock.close()
        raise
    return Database(writer, _reader(path), path, lock)


def _reader(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true", pool_size=2, max_overflow=2, pool_timeout=60
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA cache_size=-16384")

    return engine


def _check(connection: sa.Connection, path: Path) -> None:
    """Notice a damaged file before serving from it (D7); the quick check reads every page once."""
    if path.stat().st_size > 256 << 20:
        return
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise DatabaseError(f"{path} is damaged ({found}). Restore it from a backup.")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


