"""The command line, called as people and programs call it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulators.__main__ import app

ROOT = Path(__file__).resolve().parents[2]
runner = CliRunner()


def test_identities_are_lines_to_import():
    result = runner.invoke(app, ["identities", "--stations", "3", "--prefix", "P-"])

    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"id": "P-00001", "version": "1.6"},
        {"id": "P-00002", "version": "2.0.1"},
        {"id": "P-00003", "version": "1.6"},
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--version", "1.5"], "none of 1.6"),
        (["--scenario", "nonsense"], "no scenario 'nonsense'"),
        (["--config", "none.toml"], "cannot read"),
        (["--token", "a token far too long for 1.6"], "at most 20 characters"),
        (["--passwords", "none.ndjson"], "none.ndjson"),
        (["--ledger", "no/such/folder/ledger"], "cannot write"),
    ],
)
def test_what_cannot_be_run_says_why(arguments, says):
    result = runner.invoke(app, ["run", "--stations", "1", "--for", "0.1", *arguments])

    assert result.exit_code == 2
    assert says in result.stderr


def test_an_audit_without_its_files_is_status_two(tmp_path):
    result = runner.invoke(app, ["audit", "--ledger", str(tmp_path / "l"), "--database", "sqlite:///none"])

    assert result.exit_code == 2
    assert "cannot read" in result.stderr


@pytest.mark.parametrize(("sent", "says"), [(0, "No session ran"), (2, "The server answered none of the 2 messages")])
def test_an_audit_of_nothing_acknowledged_proves_nothing(tmp_path, ledger, sent, says):
    for letter in range(1, sent + 1):
        ledger.add("sent", operator=None, station="CS-1", version="1.6", letter=letter, session=1,
                   id=f"run.{letter}", action="MeterValues", payload=b'{"meterValue":[]}')  # fmt: skip
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "csms.db")) as database:
        database.executescript(
            "CREATE TABLE operators (id, name); CREATE TABLE stations (id, operator_id, identity);"
            "CREATE TABLE samples (station_id, session_id, sampled_at, register_wh);"
            "CREATE TABLE sessions (id, operator_id, station_id, transaction_id, evse_id, token, started_at, ended_at,"
            " meter_start_wh, meter_stop_wh, energy_wh);"
        )
    arguments = ["audit", "--ledger", str(ledger.path), "--database", f"sqlite:///{tmp_path}/csms.db"]
    as_json, as_table = runner.invoke(app, [*arguments, "--json"]), runner.invoke(app, arguments)

    assert (as_json.exit_code, as_table.exit_code) == (2, 2)
    assert json.loads(as_json.stdout)["proved"] is False
    for result in (as_json, as_table):
        assert "nothing is proved" in result.stderr
        assert says in result.stderr


@pytest.mark.journey
def test_when_nobody_can_connect_it_says_what_to_do():
    arguments = ["run", "--url", "ws://127.0.0.1:1/ocpp", "--stations", "2", "--for", "0.2", "--drain", "0"]
    result = runner.invoke(app, arguments)

    assert result.exit_code == 3
    assert "Is the server running there?" in result.stderr


async def program(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", *arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.journey
async def test_a_run_ends_with_one_json_line_and_its_files(baseline_url, tmp_path):
    ledger, beliefs = tmp_path / "ledger.ndjson", tmp_path / "beliefs.ndjson"
    process = await program(
        "run", "--url", baseline_url, "--stations", "10", "--for", "1.5", "--speed", "200",
        "--scenario", "busy", "--ledger", str(ledger), "--beliefs", str(beliefs), "--json",
    )  # fmt: skip
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    summary = json.loads(out.splitlines()[-1])

    assert summary["stations_connected"] == 10
    assert summary["sessions_closed"] == len(beliefs.read_text().splitlines()) > 0
    assert summary["ledger"] == str(ledger)
    believed = [json.loads(line) for line in beliefs.read_text().splitlines()]
    assert sum(belief["energy_wh"] for belief in believed) == summary["energy_wh"]


@pytest.mark.journey
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_a_run_gracefully(baseline_url, tmp_path, number):
    ledger = tmp_path / "ledger.ndjson"
    process = await program(
        "run", "--url", baseline_url, "--stations", "5", "--for", "600", "--speed", "200",
        "--scenario", "busy", "--ledger", str(ledger), "--json",
    )  # fmt: skip
    async with asyncio.timeout(20):
        while not ledger.exists() or not ledger.stat().st_size:
            await asyncio.sleep(0.02)
        process.send_signal(number)
        out, error = await process.communicate()

    assert process.returncode == 0, error.decode()
    assert json.loads(out.splitlines()[-1])["unacknowledged"] == 0


@pytest.mark.journey
async def test_the_reference_station_runs_from_the_command_line(baseline_url):
    process = await program("reference", "--url", baseline_url, "--version", "1.6", "--json")
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    assert json.loads(out)["energy_wh"] == 2000

    process = await program("reference", "--url", "ws://127.0.0.1:1/ocpp", "--version", "1.6")
    out, error = await process.communicate()
    assert process.returncode == 1
    assert b"failed" in error


@pytest.mark.journey
async def test_a_run_whose_server_goes_away_ends_in_time_and_says_what_is_owed(baseline):
    server = await baseline.start_baseline()
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
    process = await program(
        "run", "--url", url, "--stations", "5", "--for", "2", "--drain", "1", "--speed", "200",
        "--scenario", "busy", "--json",
    )  # fmt: skip
    async with asyncio.timeout(20):
        while not server.connections:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        server.close()
        out, error = await process.communicate()
    summary = json.loads(out.splitlines()[-1])

    assert process.returncode == 0, error.decode()
    assert summary["seconds"] <= 2 + 1 + 0.5
    assert summary["unacknowledged"] > 0
    assert f"{summary['unacknowledged']} transaction messages were not acknowledged" in error.decode()
