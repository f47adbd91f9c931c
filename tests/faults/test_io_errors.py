"""Each call to the disk fails in turn, once, for a while, and for good: nothing false is said, and it recovers (D7)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from csms.storage import admin
from csms.storage.database import open_database
from tests.conftest import NOW
from tests.faults.disk import Disk
from tests.faults.processes import Fleet
from tests.faults.story import FOR_EVER
from tests.journeys.processes import ROOT, environment

STRIDE = int(os.environ.get("CSMS_IO_STRIDE", "7"))  # 1: every call.
SOME = 8


async def told(directory: Path, migrated: Path, calls: int, first: int) -> list[dict[str, Any]]:
    """What came of the story for each failing call, until it was told without reaching the one that fails."""
    shutil.copyfile(migrated, directory / "csms.db")
    database = await open_database(f"sqlite:///{directory}/csms.db", synchronous="OFF")
    operator = await database.writer.run(admin.ensure_operator("default"))
    await database.writer.run(admin.put_station(operator, "CS-1", {}, NOW))
    await database.writer.run(admin.put_token(operator, "TAG", {"status": "accepted"}, NOW))
    await database.close()
    with closing(sqlite3.connect(directory / "csms.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(directory / "csms.db", directory / "template.db")
    disk = Disk(directory, directory / "csms.db")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.story", str(directory), str(first), str(STRIDE), str(calls),
        env=environment() | disk.environment, cwd=ROOT, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-3000:]
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize(("calls", "first"), [(1, 1), (SOME, 7), (FOR_EVER, 3)], ids=["once", "a while", "for good"])
async def test_D7_whichever_call_fails_nothing_acknowledged_is_lost(tmp_path: Path, migrated: Path, calls, first):
    runs = await told(tmp_path, migrated, calls, first)
    problems = {run["at"]: run["problems"] for run in runs if run["problems"]}
    assert problems == {}
    assert len(runs) > 100 / STRIDE and runs[-1]["failed"] == 0, "each call had its turn"
    print({"runs": len(runs), "calls": runs[-1]["calls"]})  # For who runs it by hand, with -s.


async def test_D7_server_under_load_recovers_from_a_disk_that_fails_now_and_then(make_server, tmp_path: Path) -> None:
    disk = Disk(tmp_path, tmp_path / "csms.db")
    server = await make_server(disk, storage_patience=0.5)
    await server.command("token", "add", "SIM-TOKEN-0001")
    fleet = Fleet(server, 8)
    for at in (10, 40, 70, 100):
        disk.fail(at, calls=SOME)
        async with asyncio.timeout(20):
            while disk.failed < SOME:
                await asyncio.sleep(0.05)
        await server.until_ready()
    await fleet.finished()
    await server.kill()
    disk.lose_power()
    verdict = await fleet.verdict()
    assert verdict["examples"] == {} and verdict["acknowledged_lost"] == 0
    assert fleet.refused() == []
    server.assert_sound()
