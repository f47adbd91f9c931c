"""The server is killed under load between commits and their publication: subscribers miss nothing (D9)."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.processes import ServerProcess, run_fleet
from tests.live.broker import Broker, Listener

KILLS = int(os.environ.get("CSMS_PUBLISH_KILLS", "4"))

pytestmark = pytest.mark.live


def stored(path: Path) -> list[tuple[str, str]]:
    """(id, type) of every event that was committed, in order."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT id, events FROM outbox ORDER BY id").fetchall()
    return [(f"{id}-{place}", event["type"]) for id, text in rows for place, event in enumerate(json.loads(text))]


async def test_D9_server_killed_between_commit_and_publish_tells_of_it_all(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    server = ServerProcess(tmp_path, registration="open", mqtt_url=broker.url)
    await server.start()
    await server.command("token", "add", "SIM-TOKEN-0001")
    fleet = asyncio.create_task(
        run_fleet(
            "--url", server.url, "--stations", "60", "--version", "mix", "--scenario", "rough", "--speed", "90",
            "--for", str(KILLS * 2.5 + 3), "--drain", "30", "--timeout", "5", "--token", "SIM-TOKEN-0001",
        )
    )  # fmt: skip
    dice = random.Random(KILLS)
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.5, 1.5))  # Not awaiting anything: the moment is what is varied.
        await server.kill()
        await server.start()
    await fleet
    await server.stop()
    told = stored(tmp_path / "csms.db")
    assert len(told) > 50 * KILLS
    await server.start()  # For what the last second left.
    await listener.until(lambda: {id for id, _ in told} <= {event["event_id"] for event in listener.events()})
    await server.stop()
    once = {event["event_id"]: event["type"] for event in listener.events()}
    assert [(id, once[id]) for id, _ in told] == told
    assert once.keys() == {id for id, _ in stored(tmp_path / "csms.db")}, "nothing was told that is not stored"
    print({"kills": KILLS, "events": len(told), "repeated": len(listener.events()) - len(once)})
