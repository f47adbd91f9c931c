"""Where a database lies, and through which socket its server is reached."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path

import pytest

from csms.storage.place import DatabaseError, StartError, control_path, place_of, remedy, sqlite_path


@pytest.mark.parametrize("url", ["sqlite:////data/csms.db", "sqlite+aiosqlite:////data/csms.db"])
def test_driver_names_are_optional(url: str):
    assert sqlite_path(url) == Path("/data/csms.db")


@pytest.mark.parametrize("url", ["csms.db", "sqlite://", "sqlite:///:memory:", "mysql://host/name"])
def test_what_is_no_file_is_refused_with_what_to_write(url: str):
    with pytest.raises(DatabaseError, match="sqlite:///"):
        sqlite_path(url)


def test_postgresql_has_its_own_tools_for_what_needs_a_file():
    with pytest.raises(DatabaseError, match="pg_dump"):
        sqlite_path("postgresql://host/name")


def test_node_of_postgresql_has_its_place_by_database_not_by_working_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    places = [place_of(f"postgresql://me:secret@{host}/csms?ssl=off") for host in ("a", "b", "a")]
    assert places[0] == places[2] != places[1]
    assert places[0].parent == tmp_path / f"csms-{os.getuid()}"
    assert "secret" not in str(places)


def test_control_socket_lies_beside_the_database():
    assert control_path(Path("/data/csms.db")) == Path("/data/csms.db.sock")


def test_long_path_has_its_socket_in_a_folder_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = control_path(Path("/data") / ("x" * 120) / "csms.db")
    assert len(os.fsencode(found)) < 108 or len(os.fsencode(tmp_path)) > 60
    assert found.parent.stat().st_mode & 0o077 == 0
    assert control_path(Path("/data") / ("y" * 120) / "csms.db") != found


def test_folder_that_others_may_write_to_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"csms-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StartError, match="not yours alone"):
        control_path(Path("/data") / ("x" * 120) / "csms.db")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SQLITE_FULL", "Free disk space"),
        ("SQLITE_IOERR_FSYNC", "The disk fails"),
        ("SQLITE_CORRUPT_INDEX", "The file or its disk is damaged"),
        ("SQLITE_BUSY_SNAPSHOT", "End the program that holds it open"),
    ],
)
def test_each_error_has_its_own_remedy(name: str, told: str):
    error = sqlite3.OperationalError("words")
    error.sqlite_errorcode = getattr(sqlite3, name)
    assert remedy(error).startswith(told)


def test_unknown_error_is_not_blamed_on_anything():
    assert "documentation" in remedy(sqlite3.OperationalError("words"))
    assert "server" in remedy(OSError("words")) and "server" in remedy(None)
