"""The disk fills up under load, with the log on it: nothing false is said, and it goes on by itself (D6)."""

from __future__ import annotations

from pathlib import Path

from tests.faults.disk import Disk
from tests.faults.processes import FaultyServer, Fleet
from tests.journeys.processes import run_module

ROOM = 50_000  # Bytes: some commits, not many.


async def fill_and_free(server: FaultyServer, disk: Disk) -> None:
    disk.room = ROOM
    await server.until_ready(False)
    assert await server.health("live") == 200
    disk.room = -1
    await server.until_ready()


async def test_D6_full_disk_is_survived_without_a_false_word(make_server, tmp_path: Path) -> None:
    disk = Disk(tmp_path, tmp_path / "csms.db", holds_log=True)
    server = await make_server(disk, storage_patience=0.5)
    await server.command("token", "add", "SIM-TOKEN-0001")
    fleet = Fleet(server, 12)
    for _ in range(3):
        await fill_and_free(server, disk)
    summary = await fleet.finished()
    assert server.running, "no crash"
    await server.kill()
    disk.lose_power()
    verdict = await fleet.verdict()
    assert verdict["examples"] == {} and verdict["acknowledged_lost"] == 0
    assert verdict["messages_acknowledged"] > 50
    assert fleet.refused() == [], "a transaction message was answered with an error"
    assert summary["unacknowledged"] == 0, "all was taken once there was room"
    server.assert_sound()
    assert server.events("storage.recovered")


async def test_D6_server_started_on_a_full_disk_says_so(make_server, tmp_path: Path) -> None:
    disk = Disk(tmp_path, tmp_path / "csms.db")
    server = await make_server(disk, storage_patience=0.2)
    await server.kill()
    disk.room = 0
    told = await run_module("csms", "serve", env={**server.environment, **server.extra}, accept=(1,), errors=True)
    assert "disk" in told and "ackup" not in told and "Traceback" not in told
    disk.room = -1
    await server.start()
