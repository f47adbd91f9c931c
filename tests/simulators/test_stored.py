"""The auditor reads databases, and never writes to them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from simulators.stored import DatabaseError, read


def take(stations, sessions, samples):
    return len(stations), len(sessions), len(list(samples))


@pytest.mark.parametrize("url", ["mysql://host/name", "csms.db"])
def test_url_of_another_kind_is_refused_with_what_to_say(url: str):
    with pytest.raises(DatabaseError, match="sqlite:///path"):
        read(url, take)


def test_missing_file_is_told_and_not_made(tmp_path: Path):
    with pytest.raises(DatabaseError, match="no database file"):
        read(f"sqlite:///{tmp_path / 'none.db'}", take)
    assert not (tmp_path / "none.db").exists()


def test_file_without_our_tables_is_told(tmp_path: Path):
    path = tmp_path / "other.db"
    sqlite3.connect(path).close()
    path.write_bytes(b"")
    with pytest.raises(DatabaseError):
        read(f"sqlite:///{path}", take)
