"""Backups: one moment of the database, whole or not at all, without holding anybody up."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from csms.storage.backup import back_up
from csms.storage.database import Database, open_database
from csms.storage.place import DatabaseError
from tests.storage.conftest import session, unit_of

ENGINES = ("sqlite",)


def sessions_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return copy.execute("SELECT count(*) FROM sessions").fetchone()[0]


async def test_what_was_committed_is_in_the_copy_of_an_open_database(database: Database, station, tmp_path: Path):
    await database.writer.commit(unit_of(station, session(1)))
    assert back_up(database.path, tmp_path / "copy.db") == [tmp_path / "copy.db"]
    await database.writer.commit(unit_of(station, session(2)))
    assert sessions_in(tmp_path / "copy.db") == 1


async def test_copy_can_be_opened_as_a_database(database: Database, station, tmp_path: Path, monkeypatch):
    await database.writer.commit(unit_of(station, session(1)))
    back_up(database.path, tmp_path / "copy.db")
    restored = await open_database(f"sqlite:///{tmp_path}/copy.db", synchronous="OFF")
    await restored.writer.commit(unit_of(station, session(2)))
    await restored.close()
    assert sessions_in(tmp_path / "copy.db") == 2


def test_database_that_nobody_has_open_is_copied_too(database_path: Path, tmp_path: Path):
    back_up(database_path, tmp_path / "copy.db")
    assert sessions_in(tmp_path / "copy.db") == 0


def test_key_goes_along_and_stays_private(database_path: Path, tmp_path: Path):
    database_path.with_name("csms.db.key").write_text("k" * 32)
    written = back_up(database_path, tmp_path / "copy.db")
    assert written == [tmp_path / "copy.db", tmp_path / "copy.db.key"]
    assert written[1].read_text() == "k" * 32
    assert [stat.S_IMODE(path.stat().st_mode) for path in written] == [0o600, 0o600]


@pytest.mark.parametrize("existing", ["copy.db", "copy.db.key"])
def test_backup_never_overwrites(database_path: Path, tmp_path: Path, existing):
    (tmp_path / existing).write_text("precious")
    with pytest.raises(DatabaseError, match="Name a new file"):
        back_up(database_path, tmp_path / "copy.db")
    assert (tmp_path / existing).read_text() == "precious"


def test_database_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(DatabaseError, match="There is no database"):
        back_up(tmp_path / "none.db", tmp_path / "copy.db")


def test_folder_that_is_not_there_is_said_and_nothing_is_left(database_path: Path, tmp_path: Path):
    with pytest.raises(DatabaseError, match=r"cannot be copied|Cannot write"):
        back_up(database_path, tmp_path / "none" / "copy.db")
    assert not (tmp_path / "none").exists()


def test_damaged_database_is_no_backup(database_path: Path, tmp_path: Path):
    with open(database_path, "r+b") as file:
        for page in range(2, 40):
            file.seek(page * 4096)
            file.write(b"\x00\xff" * 200)
    with pytest.raises(DatabaseError, match="Restore"):
        back_up(database_path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists() and not (tmp_path / "copy.db.part").exists()
