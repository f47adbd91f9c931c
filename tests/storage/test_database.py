"""Opening a database: one process, one schema, one friendly word about whatever stands in the way."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from csms.storage import database as module
from csms.storage import sqlite
from csms.storage.database import (
    MIGRATIONS,
    DatabaseError,
    DatabaseLocked,
    lock_database,
    migrate,
    open_database,
    sqlite_path,
)  # fmt: skip
from csms.storage.tables import metadata

ENGINES = ("sqlite",)
HEAD = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))[-1]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////data/csms.db", Path("/data/csms.db")),
        ("sqlite+aiosqlite:////data/csms.db", Path("/data/csms.db")),
        ("sqlite:///csms.db", Path.cwd() / "csms.db"),
    ],
)
def test_url_names_a_file(url, path):
    assert sqlite_path(url) == path


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("csms.db", "Write sqlite:///csms.db"),
        ("mysql://db/csms", "SQLite or PostgreSQL, not in mysql"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
    ],
)
def test_other_urls_are_refused_with_the_remedy(url, remedy):
    with pytest.raises(DatabaseError, match=remedy):
        sqlite_path(url)


async def test_new_database_is_made_with_its_folder(tmp_path: Path):
    path = tmp_path / "data" / "deep" / "csms.db"
    database = await open_database(f"sqlite:///{path}", synchronous="OFF")
    async with database.reader.connect() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM stations"))).scalar() == 0
    await database.close()
    assert path.exists()


async def test_new_database_is_its_owners_alone_with_all_that_lies_beside_it(tmp_path: Path):
    path, before = tmp_path / "csms.db", os.umask(0o022)
    try:
        database = await open_database(f"sqlite:///{path}")
    finally:
        os.umask(before)
    kept = [path, path.with_name("csms.db-wal"), path.with_name("csms.db-shm")]
    assert [stat.S_IMODE(file.stat().st_mode) for file in kept] == [0o600] * 3
    await database.close()


async def test_database_that_its_owner_opened_to_others_stays_so(tmp_path: Path):
    path = tmp_path / "csms.db"
    migrate(path)
    path.chmod(0o640)
    migrate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_folder_may_have_any_name(tmp_path: Path):
    path = tmp_path / "50% of #1" / "csms.db"
    database = await open_database(f"sqlite:///{path}", synchronous="OFF")
    assert database.path == path and path.exists()
    async with database.reader.connect() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM stations"))).scalar() == 0
    await database.close()


async def test_second_process_is_refused_and_told_who_is_there(database):
    with pytest.raises(DatabaseLocked, match=f"in use by process {os.getpid()}. Stop that server first"):
        await open_database(f"sqlite:///{database.path}")


async def test_lock_is_free_again_when_the_database_is_closed(database_path: Path):
    for _ in range(2):
        await (await open_database(f"sqlite:///{database_path}", synchronous="OFF")).close()


def test_lock_without_a_name_is_still_a_lock(tmp_path: Path):
    first = lock_database(tmp_path / "csms.db")
    first.truncate(0)
    with pytest.raises(DatabaseLocked, match="process unknown"):
        lock_database(tmp_path / "csms.db")
    first.close()


async def test_lock_is_given_back_when_opening_fails(tmp_path: Path):
    path = tmp_path / "csms.db"
    path.write_bytes(b"this is a text, much longer than the header of a database file would ever have to be " * 10)
    with pytest.raises(DatabaseError):
        await open_database(f"sqlite:///{path}")
    lock_database(path).close()


async def test_file_that_is_no_database_is_refused_with_the_remedy(tmp_path: Path):
    path = tmp_path / "csms.db"
    path.write_bytes(b"%PDF-1.7" * 1_000)
    with pytest.raises(DatabaseError, match="Restore it from a backup"):
        await open_database(f"sqlite:///{path}")


async def test_damaged_file_is_noticed_before_it_serves(database_path: Path):
    """D7: bytes were flipped in the middle of a page."""
    with open(database_path, "r+b") as file:
        for page in range(2, 40):
            file.seek(page * 4096)
            file.write(b"\x00\xff" * 200)
    with pytest.raises(DatabaseError, match="Restore it from a backup"):
        await open_database(f"sqlite:///{database_path}")


def test_contents_that_contradict_the_schema_are_noticed(tmp_path: Path):
    path = tmp_path / "csms.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE x (a)")
        other.execute("INSERT INTO x VALUES (NULL)")
        other.execute("PRAGMA writable_schema=ON")
        other.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE x (a NOT NULL)'")
    with pytest.raises(DatabaseError, match=r"is damaged \(NULL value in x.a\). Restore it"):
        migrate(path)


def test_large_file_is_not_read_whole_at_every_start(database_path: Path, monkeypatch):
    monkeypatch.setattr(module, "_CHECKED_SIZE", 1)
    with open(database_path, "r+b") as file:
        file.seek(30 * 4096)
        file.write(b"\x00\xff" * 200)
    assert migrate(database_path) == (HEAD, HEAD)


async def test_D7_what_is_found_in_the_wal_is_written_anew_before_anything_follows_it(
    database_path: Path, tmp_path: Path, already_migrated
):
    """After a sync that failed it may be in the system's cache only, and what is built upon it would be lost with it."""
    killed = tmp_path / "killed.db"
    with closing(sqlite3.connect(database_path)) as before, before:
        before.execute("INSERT INTO operators (name) VALUES ('found')")
        before.commit()
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{database_path}{suffix}", f"{killed}{suffix}")
    database = await open_database(f"sqlite:///{killed}", synchronous="OFF")
    with closing(sqlite3.connect(f"file:{killed}?immutable=1", uri=True)) as main_file:
        assert main_file.execute("SELECT name FROM operators").fetchall() == [("found",)]
    assert killed.with_name("killed.db-wal").stat().st_size == 0
    await database.close()


async def test_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatabaseError, match="Choose another CSMS_DATABASE_URL"):
        await open_database(f"sqlite:///{tmp_path}/file/csms.db")


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_database_held_by_another_program_is_not_called_broken(database_path: Path, monkeypatch, mode):
    monkeypatch.setattr(module, "_LOCK_WAIT", 0.01)
    monkeypatch.setattr(sqlite, "_BUSY", 0.01)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode={mode}")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseLocked, match="End the program that holds it open"):
            await open_database(f"sqlite:///{database_path}")


def test_database_of_a_newer_version_is_refused_with_the_remedy(database_path: Path):
    with closing(sqlite3.connect(database_path)) as other, other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="newer version"):
        migrate(database_path)


async def test_reader_can_not_write(database):
    async with database.reader.connect() as connection:
        with pytest.raises(sa.exc.OperationalError, match="readonly"):
            await connection.execute(sa.text("DELETE FROM stations"))


def test_migrating_tells_where_it_came_from(tmp_path: Path):
    assert migrate(tmp_path / "csms.db") == (None, HEAD)
    assert migrate(tmp_path / "csms.db") == (HEAD, HEAD)


def described(engine: sa.Engine) -> dict:
    """Everything that matters of a schema: columns, keys, indexes, and whether ids are ever used again."""
    inspector = sa.inspect(engine)
    tables = {}
    with engine.connect() as connection:
        for table in sorted({*inspector.get_table_names()} - {"alembic_version"}):
            columns = [
                (c["name"], str(c["type"]), c["nullable"], c["default"], c["primary_key"])
                for c in inspector.get_columns(table)
            ]
            foreign = [
                (f["constrained_columns"], f["referred_table"], f["options"]) for f in inspector.get_foreign_keys(table)
            ]
            unique = [(u["name"], u["column_names"]) for u in inspector.get_unique_constraints(table)]
            found = connection.execute(
                sa.text(
                    "SELECT name, sql FROM sqlite_master WHERE type='index' AND sql IS NOT NULL AND tbl_name = :table"
                ),
                {"table": table},
            )
            indexes = sorted((name, sql) for name, sql in found)
            own = connection.execute(sa.text("SELECT sql FROM sqlite_master WHERE name = :table"), {"table": table})
            tables[table] = (
                sorted(columns), sorted(foreign, key=str), sorted(unique), indexes, "AUTOINCREMENT" in own.scalar_one()
            )  # fmt: skip
    engine.dispose()
    return tables


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")  # Compared as text, below.
def test_migrated_schema_equals_the_tables(migrated: Path, tmp_path: Path):
    fresh = sa.create_engine(f"sqlite:///{tmp_path}/fresh.db")
    metadata.create_all(fresh)
    assert described(sa.create_engine(f"sqlite:///{migrated}")) == described(fresh)
