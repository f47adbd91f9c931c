"""The server is killed again and again under load: what it acknowledged is there, once."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from pathlib import Path

from tests.journeys.processes import ServerProcess, audit, run_fleet

KILLS = int(os.environ.get("CSMS_KILLS", "5"))
PAUSE = (1.0, 3.0)  # s under load before each kill
TOKENS = 100


async def add_tokens(server: ServerProcess) -> None:
    await asyncio.gather(
        *(server.command("token", "add", f"SIM-TOKEN-{number:04}") for number in range(1, 4)),
    )


async def test_a_killed_server_has_lost_and_doubled_nothing(server: ServerProcess, tmp_path: Path) -> None:
    await add_tokens(server)
    ledger, beliefs = tmp_path / "ledger.ndjson", tmp_path / "beliefs.ndjson"
    seconds = KILLS * 5 + 5
    fleet = asyncio.create_task(
        run_fleet(
            "--url", server.url, "--stations", "150", "--version", "mix", "--scenario", "rough", "--speed", "90",
            "--for", str(seconds), "--drain", "60", "--timeout", "5", "--ledger", str(ledger), "--beliefs", str(beliefs),
            "--token", "SIM-TOKEN-0001", "--token", "SIM-TOKEN-0002", "--token", "SIM-TOKEN-0003",
        )
    )  # fmt: skip
    dice = random.Random(KILLS)
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(*PAUSE))  # Not awaiting anything: the moment of the kill is what is varied.
        await server.kill()
        await server.start()
    summary = await fleet
    verdict = await audit(ledger, server.database, beliefs)

    assert verdict["acknowledged_lost"] == 0, verdict
    assert not any(verdict["findings"].values()), verdict
    assert verdict["messages_acknowledged"] > 50 * KILLS, "too little load for the test to mean anything"
    assert summary["reconnects"] >= 100, "the kills were not felt"
    assert summary["unacknowledged"] == 0
    assert_sound(server)


def assert_sound(server: ServerProcess) -> None:
    """The database is whole, no sample is an orphan, and every event of a session's end is in the outbox once."""
    with sqlite3.connect(server.database.removeprefix("sqlite:///")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        orphans = "SELECT count(*) FROM samples WHERE session_id NOT IN (SELECT id FROM sessions)"
        assert database.execute(orphans).fetchone() == (0,)
        ended = database.execute("SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL").fetchone()[0]
        told = database.execute(
            "SELECT count(*) FROM outbox, json_each(outbox.events) WHERE json_each.value ->> 'type' = 'session.closed'"
        ).fetchone()[0]
        assert told == ended
