"""Copies a database that is in use: one consistent moment of it, while its server goes on writing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from csms.storage.place import DatabaseError, remedy


def back_up(database: Path, target: Path) -> list[Path]:
    """Write `database` as of now into the new file `target`, and the key beside it; returns the files written.

    Nothing waits for it: it reads in a process of its own, and a copy takes no more than a reader's snapshot. The
    files are synced, and there as a whole or not at all. DatabaseError with the remedy otherwise.
    """
    if not database.exists():
        raise DatabaseError(f"There is no database {database}. Set CSMS_DATABASE_URL to the one to back up.")
    key, key_target = (path.with_name(path.name + ".key") for path in (database, target))
    for path in (target, key_target):
        if path.exists():
            raise DatabaseError(f"{path} exists. Name a new file: a backup never overwrites another.")
    part = target.with_name(target.name + ".part")
    try:
        part.unlink(missing_ok=True)
        _copy(database, part)
        _sync(part)
        if key.exists():  # Without it no password of a station, no API key can be checked.
            os.close(os.open(key_target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            shutil.copyfile(key, key_target)
            _sync(key_target)
        part.rename(target)
        _sync(target.parent)
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        raise DatabaseError(f"{database} cannot be copied to {target}: {error}. {remedy(error)}") from error
    except OSError as error:
        raise DatabaseError(f"Cannot write {target} ({error}). Choose another place.") from error
    return [path for path in (target, key_target) if path.exists()]


def _copy(database: Path, part: Path) -> None:
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # Nobody else's, not for a moment.
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, isolation_level=None)) as source:
        source.execute("VACUUM INTO ?", [str(part)])
    with closing(sqlite3.connect(part)) as copy:
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        part.unlink()
        raise DatabaseError(f"{database} is damaged ({found}). Restore an older backup.")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
