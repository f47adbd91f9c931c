"""A fleet charges, and the database says what its stations believe."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tests.journeys.processes import ServerProcess, audit, run_fleet
from tests.journeys.test_nothing_is_lost import add_tokens

STATIONS = int(os.environ.get("CSMS_FLEET_STATIONS", "100"))
SECONDS = float(os.environ.get("CSMS_FLEET_SECONDS", "10"))


async def test_every_session_in_the_database_equals_what_its_station_believes(
    server: ServerProcess, tmp_path: Path
) -> None:
    await add_tokens(server)
    ledger, beliefs = tmp_path / "ledger.ndjson", tmp_path / "beliefs.ndjson"
    summary = await run_fleet(
        "--url", server.url, "--stations", str(STATIONS), "--version", "mix", "--scenario", "busy", "--speed", "120",
        "--for", str(SECONDS), "--ledger", str(ledger), "--beliefs", str(beliefs),
        "--token", "SIM-TOKEN-0001", "--token", "SIM-TOKEN-0002", "--token", "SIM-TOKEN-0003",
    )  # fmt: skip
    verdict = await audit(ledger, server.database, beliefs)

    assert not any(verdict["findings"].values()), verdict
    assert verdict["beliefs"] == summary["sessions_opened"] > STATIONS / 4
    assert summary["stations_connected"] == STATIONS
    assert summary["errors"] == {}
    totals = await server.command("session", "list", "--status", "closed", "--limit", "100000")
    believed = [msgspec.json.decode(line) for line in beliefs.read_bytes().splitlines()]
    assert sum(each["energy_wh"] for each in totals) == sum(each["energy_wh"] for each in believed if each["closed"])
