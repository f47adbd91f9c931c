"""What a newcomer sees first."""

from __future__ import annotations

import json
from pathlib import Path

from tests.journeys.processes import environment, run_module


async def test_the_demo_ends_by_itself_and_nothing_was_lost(tmp_path: Path) -> None:
    out = await run_module(
        "csms", "demo", "--stations", "20", "--for", "8", "--data", str(tmp_path / "demo"), "--json", env=environment()
    )
    summary = json.loads(out.strip().splitlines()[-1])

    assert summary["acknowledged_lost"] == 0
    assert summary["stations_connected"] == 20
    assert summary["sessions_opened"] >= summary["sessions_closed"] > 0
    assert summary["energy_wh"] > 0
    assert summary["messages"] > 100
