"""A fleet over several processes is told as one."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from simulators.network import Totals, lines, read_country, write


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "network.ndjson"
    write(path, lines(read_country(), 0.0002), Totals())
    return path


async def _run(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", "run", *arguments, stdout=-1, stderr=-1
    )
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def test_processes_drive_a_network_together(file, baseline_url, tmp_path):
    status, out, errors = await _run(
        "--url", baseline_url, "--network", str(file), "--processes", "2", "--for", "6", "--speed", "60",
        "--ramp", "200", "--incident", "all@3", "--drain", "5", "--ledger", str(tmp_path / "ledger"), "--json",
    )  # fmt: skip
    assert status == 0, errors
    told = json.loads(out)
    assert told["processes"] == 2
    assert told["stations"] == told["stations_connected"] == 204
    assert told["reconnects"] >= 150  # After the cut; with time so fast the back-off is short.
    assert told["sessions_opened"] > 0 and told["latency_p99_ms"] >= told["latency_p50_ms"] > 0
    assert (tmp_path / "ledger.1").stat().st_size and (tmp_path / "ledger.2").stat().st_size


async def test_nobody_there_is_told_once_for_all(file):
    status, _, errors = await _run(
        "--url", "ws://127.0.0.1:9/ocpp", "--network", str(file), "--processes", "2", "--for", "0.5", "--drain", "0"
    )
    assert status == 3
    assert "Is the server running there?" in errors


async def test_what_cannot_be_run_is_said_before_a_process_starts(tmp_path):
    status, _, errors = await _run("--network", str(tmp_path / "none"), "--processes", "2", "--incident", "all")
    assert (status, errors.count("is no incident")) == (2, 1)
