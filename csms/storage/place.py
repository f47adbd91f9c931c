"""Where a database lies, and what keeps it from being used; light, for commands that only talk to its server."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import stat
import tempfile
from pathlib import Path
from urllib.parse import unquote

MOST_NODES = 64  # On one machine, in one folder.


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


class DatabaseError(Exception):
    """The database cannot be used; the message says what to do."""


class DatabaseLocked(DatabaseError):
    """Another process holds the database: a running server, or a command at work."""


_REMEDIES = {
    sqlite3.SQLITE_FULL: "Free disk space.",
    sqlite3.SQLITE_IOERR: "The disk fails: look into the system's log, free space, or move the file to another disk.",
    # Also what SQLite makes of an I/O error while reading.
    sqlite3.SQLITE_CORRUPT: "The file or its disk is damaged: look into the system's log. Restore it from a backup.",
    sqlite3.SQLITE_NOTADB: "Restore it from a backup.",
    sqlite3.SQLITE_BUSY: "End the program that holds it open.",
    sqlite3.SQLITE_LOCKED: "End the program that holds it open.",
    sqlite3.SQLITE_CANTOPEN: "Let this user write to its folder, or choose another CSMS_DATABASE_URL.",
    sqlite3.SQLITE_READONLY: "Let this user write to the file and to its folder.",
}


def remedy(error: BaseException | None) -> str:
    """What to do about an error of a database."""
    if not isinstance(error, sqlite3.Error):
        return "Look at the database's server, its locks, its disk, and at the way to it."
    code = getattr(error, "sqlite_errorcode", None) or 0
    return _REMEDIES.get(
        code & 0xFF, "Look for the error's words in SQLite's documentation."
    )  # Extended codes go above.


def is_postgres(url: str) -> bool:
    return re.match(r"postgres(ql)?(\+asyncpg)?://", url) is not None


def shown(url: str) -> str:
    """The URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def place_of(url: str) -> Path:
    """Where this node's control socket and lock belong: beside the file, or (PostgreSQL) in this user's own folder."""
    if not is_postgres(url):
        return sqlite_path(url)
    where = re.sub(r"[^@]*@", "", url.partition("://")[2].partition("?")[0])  # The same for every spelling of it.
    name = re.sub(r"[^\w.-]", "_", where.rpartition("/")[2])[:40]
    return _own_folder() / f"{name}-{hashlib.sha256(where.encode()).hexdigest()[:16]}"


def sqlite_path(url: str) -> Path:
    """The file that `sqlite:///path` names (driver names are optional); DatabaseError for other databases."""
    found = re.fullmatch(r"(\w+)(?:\+\w+)?://([^/?]*)(?:/([^?]*))?(?:\?.*)?", url)
    if found is None:
        raise DatabaseError(f"CSMS_DATABASE_URL is no database URL: {url!r}. Write sqlite:///csms.db")
    engine, host, name = found.groups()
    if is_postgres(url):
        raise DatabaseError(f"{shown(url)} is no file: PostgreSQL has its own tools for this (pg_dump).")
    if engine != "sqlite":
        raise DatabaseError(
            f"Data is kept in SQLite or PostgreSQL, not in {engine}: set CSMS_DATABASE_URL to sqlite:///path or "
            "postgresql://user:password@host/database"
        )
    if host or not name or name == ":memory:":
        raise DatabaseError("The database must be a file, so that it survives: set CSMS_DATABASE_URL to sqlite:///path")
    return Path(unquote(name)).absolute()


def control_path(database: Path) -> Path:
    """The socket through which the command line reaches the server of this database."""
    path = database.with_name(database.name + ".sock")
    if len(os.fsencode(path)) < 100:
        return path
    # The system bounds the length of a socket's path (108 bytes on Linux, 104 on macOS).
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
    return _own_folder() / f"{digest}.sock"


def places_of(url: str) -> list[Path]:
    """Where nodes of this machine may stand, the first one first; one place for a file."""
    first = place_of(url)
    more = range(2, MOST_NODES + 1) if is_postgres(url) else ()
    return [first, *(first.with_name(f"{first.name}-{number}") for number in more)]


def control_paths(url: str) -> list[Path]:
    """The control sockets there are of servers on this database, on this machine."""
    return [path for path in map(control_path, places_of(url)) if path.exists()]


def _own_folder() -> Path:
    """A folder among the temporary files that nobody else may put a socket into."""
    folder = Path(tempfile.gettempdir()) / f"csms-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StartError(f"{folder} is not yours alone: remove it, or choose a shorter CSMS_DATABASE_URL.")
    return folder
