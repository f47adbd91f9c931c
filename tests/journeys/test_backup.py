"""A backup under load, restored elsewhere: everything acknowledged before it is there (D10)."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path

from tests.journeys.processes import ServerProcess, audit, run_fleet, run_module
from tests.journeys.test_nothing_is_lost import add_tokens, assert_sound


def until(ledger: Path, moment: float, kept: Path) -> Path:
    """The part of a ledger that was written before the moment."""
    lines = [line for line in ledger.read_text().splitlines() if json.loads(line)["at"] < moment]
    kept.write_text("".join(line + "\n" for line in lines))
    return kept


async def test_D10_backup_under_load_is_restored_whole(server: ServerProcess, tmp_path: Path) -> None:
    await add_tokens(server)
    ledger = tmp_path / "ledger.ndjson"
    fleet = asyncio.create_task(
        run_fleet(
            "--url", server.url, "--stations", "100", "--version", "mix", "--scenario", "rough", "--speed", "90",
            "--for", "8", "--drain", "30", "--ledger", str(ledger), "--token", "SIM-TOKEN-0001",
        )
    )  # fmt: skip
    await asyncio.sleep(5)  # Not awaiting anything: sessions are to be under way.
    began = time.time()
    await run_module("csms", "backup", str(tmp_path / "backup.db"), env=server.environment)
    await fleet
    await server.stop()

    restored = ServerProcess(_folder(tmp_path / "elsewhere"), registration="open")
    for end in ("", ".key"):
        shutil.copyfile(tmp_path / f"backup.db{end}", tmp_path / "elsewhere" / f"csms.db{end}")
    verdict = await audit(until(ledger, began, tmp_path / "before.ndjson"), restored.database)
    assert verdict["acknowledged_lost"] == 0, verdict
    assert verdict["messages_acknowledged"] > 50
    await assert_sound(restored.database)
    await restored.start()
    assert await restored.command("station", "list"), "the restored copy is served from"
    assert await restored.stop() == 0


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
