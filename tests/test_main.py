"""The `csms` command: what it offers, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from csms import __main__ as main
from csms.cli import demo as demos
from csms.storage.database import lock_database
from tests.cli.conftest import Cli, surroundings  # noqa: F401  It keeps the environment clean here too.

pytestmark = pytest.mark.journey

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cli(database_path: Path) -> Cli:
    return Cli(database_path)


@pytest.fixture(autouse=True)
def log_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csms.logs.configure", lambda *_: None)


def run(*arguments: str, **environment: str) -> subprocess.Popen:
    """`csms …` as people run it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    clean |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "csms", *arguments], env=clean, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_every_command_is_offered(cli):
    told = cli("--help").stdout
    for name in ("serve", "demo", "migrate", "doctor", "station", "token", "session"):
        assert name in told


# migrate


def test_migrate_makes_a_database_and_tells_from_where_to_where(tmp_path):
    cli = Cli(tmp_path / "new.db")
    assert "was brought from schema none to 0" in cli("migrate").stdout
    assert "is up to date (schema 0" in cli("migrate").stdout
    found = cli.json("migrate")
    assert found["database"] == str(tmp_path / "new.db")
    assert found["before"] == found["after"]


def test_migrate_keeps_away_from_a_database_in_use(cli):
    lock = lock_database(cli.database)
    try:
        assert "in use by process" in cli.fails("migrate")
    finally:
        lock.close()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CSMS_DATABASE_URL": "postgresql://127.0.0.1:1/db"}, "Is PostgreSQL running there"), ({"CSMS_OCPP_PORT": "x"}, "CSMS_OCPP_PORT"),
        ({"CSMS_CONFIG": "none.toml"}, "Copy config/csms.toml"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_what_cannot_be_used_is_told_with_its_remedy(cli, command, environment, words):
    assert words in cli.fails(command, env=environment)


@pytest.mark.parametrize(
    "command",
    ["serve", "migrate"],
)
def test_place_that_cannot_be_written_to_is_told(cli, command):
    told = cli.fails(command, env={"CSMS_DATABASE_URL": "sqlite:////dev/null/csms.db"})
    assert "Choose another CSMS_DATABASE_URL" in told


def test_damaged_database_is_told(cli):
    cli.database.write_bytes(b"this is no database" * 1000)
    assert "Restore it from a backup" in cli.fails("migrate")


# doctor


def test_doctor_ends_well_when_nothing_is_wrong(cli):
    free = {"CSMS_OCPP_PORT": "0", "CSMS_HTTP_PORT": "0"}
    assert "is sound" in cli("doctor", env=free).stdout
    assert {row["level"] for row in cli.json("doctor", env=free)} == {"ok"}


def test_doctor_ends_badly_when_something_is(cli):
    wrong = {"CSMS_DATABASE_URL": "postgresql://host/db"}
    assert "error" in cli("doctor", status=1, env=wrong).stdout
    assert any(row["level"] == "error" for row in cli.json("doctor", status=1, env=wrong))
    assert "CSMS_OCPP_PORT" in cli.fails("doctor", env={"CSMS_OCPP_PORT": "x"})


# serve


def test_serve_runs_what_the_settings_say(cli, monkeypatch, tmp_path):
    seen = []

    async def serve(settings, announce):
        seen.append(settings.ocpp_port)
        announce("Here.")

    monkeypatch.setattr("csms.app.serve", serve)
    file = tmp_path / "csms.toml"
    file.write_text("ocpp_port = 9123\n")
    assert cli("serve", "--config", str(file)).stdout == "Here.\n"
    assert seen == [9123]


def test_serve_tells_why_it_cannot_start(cli):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = cli("serve", status=1, env={"CSMS_HTTP_PORT": str(port), "CSMS_OCPP_PORT": "0"})
    assert f"Cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Choose another CSMS_HTTP_PORT" in result.stderr


def test_loop_is_there_without_uvloop(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert main.run_loop(work()) == 7


@pytest.mark.journey
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_server_in_order(tmp_path, number):
    database = tmp_path / "csms.db"
    server = run("serve", CSMS_DATABASE_URL=f"sqlite:///{database}", CSMS_OCPP_PORT="0", CSMS_HTTP_PORT="0")
    try:
        lines = []
        while not lines or not lines[-1].startswith("Data:"):
            lines.append(server.stdout.readline())
            assert lines[-1], server.stderr.read()
        listed = run("station", "list", "--json", CSMS_DATABASE_URL=f"sqlite:///{database}")
        assert json.loads(listed.communicate(timeout=20)[0]) == []
        server.send_signal(number)
        _, log = server.communicate(timeout=10)
    finally:
        server.kill()
        server.communicate()
    assert server.returncode == 0
    assert [json.loads(line)["event"] for line in log.splitlines()][-2:] == ["server.stopping", "server.stopped"]
    key = lines[0].rpartition(": ")[2].strip()
    assert key.startswith("csms_") and key not in log
    assert not (tmp_path / "csms.db.sock").exists()


@pytest.mark.journey
def test_command_of_a_person_ends_with_a_line_and_a_status(tmp_path):
    failed = run("station", "list", CSMS_DATABASE_URL="postgresql://host/db")
    out, errors = failed.communicate(timeout=20)
    assert (failed.returncode, out) == (1, "")
    assert errors.startswith("Error: ") and errors.count("\n") == 1


# demo


SUMMARY = {
    "stations_connected": 2, "messages": 10, "sessions_opened": 2, "sessions_closed": 1, "energy_wh": 1500,
    "acknowledged_lost": 0,
}  # fmt: skip


@pytest.fixture
def demo(cli, monkeypatch):
    """`csms demo` over a demonstration that is over at once."""
    plans = []

    def demo(*arguments: str, status: int = 0, **changes):
        async def run(plan, say):
            plans.append(plan)
            return SUMMARY | changes

        monkeypatch.setattr(demos, "run", run)
        return cli("demo", *arguments, status=status), plans[-1] if plans else None

    return demo


def test_demo_ends_with_a_summary_for_people(demo):
    result, plan = demo("--stations", "2", "--for", "3")
    assert "2 stations, 10 messages, 2 sessions (1 ended), 1.5 kWh." in result.stdout
    assert "nothing that was acknowledged is missing" in result.stdout
    assert (plan.stations, plan.seconds, plan.show) == (2, 3.0, True)
    assert not plan.directory.exists()


def test_demo_ends_with_json_for_programs(demo):
    result, plan = demo("--json")
    assert json.loads(result.stdout.splitlines()[-1]) == SUMMARY
    assert plan.show is False


def test_demo_that_lost_something_ends_badly(demo):
    result, _ = demo(status=1, acknowledged_lost=3)
    assert "3 acknowledged messages are MISSING" in result.stdout


def test_demo_keeps_its_data_where_it_is_told(demo, tmp_path):
    _, plan = demo("--data", str(tmp_path / "kept"))
    assert plan.directory == tmp_path / "kept"
    assert plan.directory.is_dir()
    (tmp_path / "kept" / "something").touch()
    result, _ = demo("--data", str(tmp_path / "kept"), status=1)
    assert "is not empty" in result.stderr


def test_demo_tells_what_keeps_it_from_running(cli, monkeypatch):
    monkeypatch.setenv("CSMS_OCPP_PORT", "x")
    assert "CSMS_OCPP_PORT" in cli.fails("demo")
    assert "CSMS_OCPP_PORT" in cli.json("demo", status=1)["error"]["detail"]
