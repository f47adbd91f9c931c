"""Look-ups of messages: what was committed, by index, without blocking the loop."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from csms.storage import records
from csms.storage.database import Database
from csms.storage.lookups import Lookups

ENGINES = ("sqlite",)


async def test_what_was_committed_is_seen(database: Database):
    await database.writer.run(
        lambda connection: connection.execute(sa.text("INSERT INTO operators (id, name) VALUES (7, 'x')"))
    )
    rows = await database.lookups.rows(sa.text("SELECT name FROM operators WHERE id = :id"), id=7)
    assert [row.name for row in rows] == ["x"]


async def test_nothing_can_be_written(database: Database):
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        await database.lookups.rows(sa.text("DELETE FROM operators"))


async def test_odd_path_is_quoted(database: Database, tmp_path):
    odd = tmp_path / "a?b#c%20d.db"
    odd.write_bytes(database.path.read_bytes())
    lookups = Lookups(str(odd))
    assert await lookups.rows(sa.text("SELECT count(*) FROM stations"))
    await lookups.close()


@pytest.mark.parametrize("name", ["_KNOWN", "_TOKENS", "_BY_START", "_BY_TRANSACTION"])
async def test_batches_are_found_by_index_never_by_a_scan(database: Database, name: str):
    compiled = getattr(records, name).compile(database.lookups.engine)
    values = [
        '[[1, "a"]]' if compiled.params.get(key) is None else compiled.params[key] for key in compiled.positiontup
    ]
    plan = await database.writer.run(
        lambda connection: connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(values)).all()
    )
    steps = [row[-1] for row in plan]
    assert any(step.startswith("SEARCH") for step in steps)
    assert not [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
