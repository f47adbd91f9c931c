"""Rows in bulk, on both engines: what is new is inserted, what is there changed, and one statement takes them all."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import sqlalchemy as sa

from csms.storage.database import Database
from csms.storage.tables import operators, stations
from csms.storage.upsert import upsert
from tests.conftest import NOW

KEYS = ("operator_id", "identity")


async def put(database: Database, *rows: dict[str, Any], keep: tuple[str, ...] = ()) -> int:
    """How many statements wrote the rows."""
    said: list[str] = []

    def job(connection: sa.Connection) -> None:
        sa.event.listen(connection, "before_cursor_execute", lambda *given: said.append(given[2]))
        if not connection.execute(sa.select(operators.c.id)).first():
            connection.execute(sa.insert(operators).values(id=1, name="default"))
        upsert(connection, stations, KEYS, rows, keep=keep)

    await database.writer.run(job)
    return sum("INSERT INTO stations" in sql for sql in said)


def station(identity: str, **fields: Any) -> dict[str, Any]:
    return {"operator_id": 1, "identity": identity, "created_at": NOW, **fields}


async def test_new_rows_are_inserted_and_known_ones_changed(database: Database, rows):
    await put(
        database, station("A", vendor="old", password_hash=b"\0\xff"), station("B", vendor="b", password_hash=None)
    )
    await put(database, station("A", vendor="new", password_hash=b"\1"), station("C", vendor=None, password_hash=None))
    found = await rows("SELECT identity, vendor, password_hash FROM stations ORDER BY identity")
    assert found == [("A", "new", b"\1"), ("B", "b", None), ("C", None, None)]


async def test_columns_to_keep_stay_where_a_row_is_there(database: Database, rows):
    await put(database, station("A", vendor="old", model="old"))
    await put(database, station("A", vendor="new", model="new"), station("B", vendor="b", model="b"), keep=("model",))
    found = await rows("SELECT identity, vendor, model FROM stations ORDER BY identity")
    assert found == [("A", "new", "old"), ("B", "b", "b")]


async def test_rows_are_left_alone_where_all_is_to_keep(database: Database, rows):
    await put(database, station("A", vendor="old"))
    await put(database, station("A", vendor="new"), station("B", vendor="b"), keep=("created_at", "vendor"))
    assert await rows("SELECT identity, vendor FROM stations ORDER BY identity") == [("A", "old"), ("B", "b")]


async def test_of_rows_with_one_key_the_last_counts(database: Database, rows):
    await put(database, station("A", vendor="first"), station("B", vendor="b"), station("A", vendor="last"))
    assert await rows("SELECT identity, vendor FROM stations ORDER BY identity") == [("A", "last"), ("B", "b")]


async def test_rows_that_differ_in_their_columns_are_put_side_by_side(database: Database, rows):
    await put(database, station("A", vendor="a"), station("B"), station("C", vendor="c"))
    found = await rows("SELECT identity, vendor FROM stations ORDER BY identity")
    assert found == [("A", "a"), ("B", None), ("C", "c")]


async def test_a_thousand_rows_are_one_statement(database: Database):
    assert await put(database, *(station(f"CS-{number}") for number in range(1_000))) == 1


async def test_text_that_is_too_long_is_never_cut(database: Database, rows):
    """PostgreSQL refuses it, SQLite knows no bounds."""
    bounded = database.reader.dialect.name == "postgresql"
    with pytest.raises(sa.exc.DBAPIError) if bounded else nullcontext():
        await put(database, station("x" * 49))
    assert await rows("SELECT length(identity) FROM stations") == ([] if bounded else [(49,)])
