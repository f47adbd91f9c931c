"""The server is killed again and again under load: what it acknowledged is there, once, on either database (D1)."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.processes import Fleet, ServerProcess, assert_sound
from tests.journeys.warm import WarmServer
from tests.postgres import database as fresh

KILLS = int(os.environ.get("CSMS_KILLS", "25"))
PAUSE = (0.0, 0.5)  # s before each kill, once stations have come back and told something.
TOKENS = 100


async def add_tokens(server: ServerProcess) -> None:
    await asyncio.gather(
        *(server.command("token", "add", f"SIM-TOKEN-{number:04}") for number in range(1, 4)),
    )


@pytest.fixture(params=["sqlite", "postgres"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """On each engine; it takes unknown stations in."""
    on = {"database_url": await fresh(request.getfixturevalue("postgres"))} if request.param == "postgres" else {}
    process = WarmServer(tmp_path, registration="open", **on)
    await process.start()
    yield process
    await process.stop()


async def test_a_killed_server_has_lost_and_doubled_nothing(server: ServerProcess) -> None:
    await add_tokens(server)
    fleet = Fleet(server, KILLS * 30 + 60, stations=100, drain=40 + 2 * KILLS)  # What is owed takes its time.
    dice = random.Random(KILLS)
    for _ in range(KILLS):
        await fleet.goes_on()
        await asyncio.sleep(dice.uniform(*PAUSE))  # Not awaiting anything: the moment of the kill is what is varied.
        await server.kill()
        await server.start()
    summary = await fleet.ended()
    verdict = await fleet.verdict()
    print(f"{KILLS} kills: {summary} {verdict}")  # With -s: what a long loop came to.

    assert verdict["acknowledged_lost"] == 0, verdict
    assert not any(verdict["findings"].values()), verdict
    assert verdict["messages_acknowledged"] > 20 * KILLS, "too little load for the test to mean anything"
    assert summary["reconnects"] >= 10 * KILLS, "the kills were not felt"
    assert summary["unacknowledged"] == 0
    assert fleet.refused() == [], "a transaction message was answered with an error"
    await assert_sound(server.database)
