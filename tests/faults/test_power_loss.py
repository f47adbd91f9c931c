"""The power fails again and again under load: what was acknowledged is there (D2).

The same loop over a database that is not synced must find losses, or it proves nothing.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.disk import Disk
from tests.faults.processes import FaultyServer, Fleet

LOSSES = int(os.environ.get("CSMS_POWER_LOSSES", "4"))
PAUSE = (1.0, 2.5)  # s under load before each
SECONDS_A_CYCLE = 4.5


async def suffer(server: FaultyServer, losses: int, *, torn: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The verdict and the fleet's summary, after this many power losses under load."""
    await server.command("token", "add", "SIM-TOKEN-0001")
    fleet = Fleet(server, losses * SECONDS_A_CYCLE + 4, stations=120)
    dice = random.Random(losses)
    for number in range(losses):
        await asyncio.sleep(dice.uniform(*PAUSE))  # Not awaiting anything: the moment is what is varied.
        await server.kill()
        server.disk.lose_power(dice if torn and number % 2 else None)
        await server.start()
    summary = await fleet.finished()
    await server.kill()
    server.disk.lose_power()
    return await fleet.verdict(), summary


async def test_D2_power_loss_under_load_loses_nothing_acknowledged(make_server, tmp_path: Path) -> None:
    server = await make_server(Disk(tmp_path, tmp_path / "csms.db"))
    verdict, summary = await suffer(server, LOSSES, torn=True)
    assert verdict["acknowledged_lost"] == 0, verdict
    assert not any(verdict["findings"].values()), verdict
    assert verdict["messages_acknowledged"] > 50 * LOSSES, "too little load for the test to mean anything"
    assert summary["reconnects"] >= 50, "the power losses were not felt"
    server.assert_sound()


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
async def test_D2_the_same_loop_finds_what_is_lost_without_syncing(make_server, tmp_path: Path, synchronous) -> None:
    server = await make_server(Disk(tmp_path, tmp_path / "csms.db"), synchronous=synchronous)
    verdict, _ = await suffer(server, 1, torn=False)
    assert verdict["messages_acknowledged"] > 50
    assert verdict["acknowledged_lost"] > 0, "a test that finds no loss here would find none anywhere"
