"""What a database holds about sessions, read by plain SQL: SQLite or PostgreSQL, never written to."""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

STATIONS = "SELECT s.id, s.identity, s.operator_id, o.name FROM stations s JOIN operators o ON o.id = s.operator_id"
SESSIONS = (
    "SELECT id, operator_id, station_id, transaction_id, evse_id, token, started_at, ended_at, "
    "meter_start_wh, meter_stop_wh, energy_wh FROM sessions"
)
SAMPLES = "SELECT station_id, session_id, sampled_at, register_wh FROM samples"
_PAGE = 10_000

Rows = Iterator[tuple[Any, ...]]


class DatabaseError(Exception):
    """The database cannot be read. Check the URL, and that the server's migrations ran."""


@dataclass(frozen=True, slots=True)
class StationRow:
    id: int
    identity: str
    operator_id: int
    operator: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """Times in microseconds since the epoch, energy in Wh."""

    id: int
    operator_id: int
    station_id: int
    transaction_id: str | None
    evse_id: int | None
    token: str | None
    started_at: int | None
    ended_at: int | None
    meter_start_wh: float | None
    meter_stop_wh: float | None
    energy_wh: float | None


def read(url: str, take: Callable[[list[StationRow], list[SessionRow], Rows], Any]) -> Any:
    """Open the database read-only and hand its stations, sessions and (streamed) samples to `take`."""
    scheme, _, rest = url.partition("://")
    engine = scheme.partition("+")[0]
    if engine == "sqlite":
        return _read_sqlite(rest.removeprefix("/"), take)
    if engine in ("postgresql", "postgres"):
        return asyncio.run(_read_postgres(f"postgresql://{rest}", take))
    raise DatabaseError(f"{url}: say sqlite:///path or postgresql://user:password@host/name")


def _read_sqlite(path: str, take: Callable) -> Any:
    if not Path(path).is_file():
        raise DatabaseError(f"there is no database file {path}")
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")  # One snapshot for the three questions.
            stations = [StationRow(*row) for row in connection.execute(STATIONS)]
            sessions = [SessionRow(*row) for row in connection.execute(SESSIONS)]
            return take(stations, sessions, iter(connection.execute(SAMPLES)))
    except sqlite3.Error as error:
        raise DatabaseError(f"cannot read {path}: {error}") from error


async def _read_postgres(url: str, take: Callable) -> Any:
    try:
        asyncpg = importlib.import_module("asyncpg")
    except ImportError as error:
        raise DatabaseError("PostgreSQL needs the package asyncpg: pip install 'csms[postgres]'") from error
    try:
        connection = await asyncpg.connect(url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                stations = [StationRow(*row) for row in await connection.fetch(STATIONS)]
                sessions = [SessionRow(*row) for row in await connection.fetch(SESSIONS)]
                samples = [tuple(row) async for row in connection.cursor(SAMPLES, prefetch=_PAGE)]
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"cannot read the database: {error}") from error
    return take(stations, sessions, iter(samples))
