"""Another program locks the database, or each sync takes long: answers are late or held, and all comes right (D4)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.disk import Disk
from tests.faults.processes import FaultyServer, Fleet

LOCKED = float(os.environ.get("CSMS_LOCKED_SECONDS", "4"))  # s
MOST_GROWTH = 200 << 20  # Bytes of memory.


@contextlib.asynccontextmanager
async def locked(server: FaultyServer) -> AsyncIterator[None]:
    """Nobody else may write meanwhile."""
    with contextlib.closing(sqlite3.connect(server.path, isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def assert_nothing_lost(server: FaultyServer, fleet: Fleet) -> None:
    await fleet.finished()
    await server.kill()
    verdict = await fleet.verdict()
    assert verdict["examples"] == {} and verdict["acknowledged_lost"] == 0
    assert verdict["messages_acknowledged"] > 50
    assert fleet.refused() == [], "a transaction message was answered with an error"
    server.assert_sound()


@pytest.mark.parametrize(("share", "closes"), [(0.25, True), (2.0, False)], ids=["longer", "shorter"])
async def test_D4_database_locked_for_longer_or_shorter_than_the_patience(make_server, share, closes) -> None:
    server = await make_server(storage_patience=LOCKED * share)
    await server.command("token", "add", "SIM-TOKEN-0001")
    fleet = Fleet(server, LOCKED + 6, drain=40 + LOCKED)
    await fleet.goes_on()
    before = server.resident()
    async with locked(server):
        await server.until_ready(False)
        await asyncio.sleep(LOCKED)  # The lock lasts; what is asked is what happens meanwhile.
        assert await server.health("live") == 200
        grown = server.resident() - before
    await server.until_ready()
    assert grown < MOST_GROWTH
    assert bool(server.events("message.not_stored")) is closes
    await assert_nothing_lost(server, fleet)


async def test_D4_slow_syncs_make_answers_late_and_nothing_worse(make_server, tmp_path: Path) -> None:
    disk = Disk(tmp_path, tmp_path / "csms.db")
    server = await make_server(disk)
    await server.command("token", "add", "SIM-TOKEN-0001")
    fleet = Fleet(server, 8)
    disk.slow(0.7)
    await asyncio.sleep(5)
    assert await server.health("ready") == 200, "slow is not failing"
    disk.slow(0)
    await fleet.finished()
    assert not server.events("message.not_stored")
    await assert_nothing_lost(server, fleet)
