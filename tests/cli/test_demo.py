"""`csms demo`: a place for its data, free ports, an honest summary."""

from __future__ import annotations

import socket

import pytest

from csms.cli import demo as demos
from csms.cli.client import CommandError
from csms.cli.demo import Demo


def plan(directory, **changes) -> Demo:
    given = {"stations": 4, "seconds": 5.0, "speed": 120.0, "version": "mix", "directory": directory, "show": False}
    return Demo(**given | changes)


def test_data_goes_to_a_place_that_is_gone_afterwards():
    with demos.directory(None) as place:
        (place / "x").touch()
    assert not place.exists()


def test_named_place_is_made_and_stays(tmp_path):
    with demos.directory(tmp_path / "a" / "b") as place:
        assert place.is_dir()
    assert place.is_dir()


def test_place_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(CommandError, match="not empty"), demos.directory(tmp_path):
        pass


def test_ports_that_are_taken_are_avoided(tmp_path, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setenv("CSMS_OCPP_PORT", str(taken))
        monkeypatch.setenv("CSMS_REGISTRATION", "open")
        settings = demos._settings(plan(tmp_path))
    assert settings.ocpp_port not in (0, taken)
    assert settings.registration == "closed"
    assert settings.database_url == f"sqlite:///{tmp_path}/csms.db"


def test_files_lie_together(tmp_path):
    assert {plan(tmp_path).ledger.parent, plan(tmp_path).passwords.parent} == {tmp_path}


@pytest.mark.parametrize(
    ("lost", "words"), [(0, "nothing that was acknowledged is missing"), (3, "3 acknowledged messages are MISSING")]
)
def test_summary_says_what_was_lost(lost, words):
    summary = {
        "stations_connected": 2, "messages": 10, "sessions_opened": 2, "sessions_closed": 1, "energy_wh": 1500,
        "acknowledged_lost": lost,
    }  # fmt: skip
    assert words in demos.told(summary)


@pytest.mark.journey
async def test_demo_runs_from_start_to_audit(tmp_path, monkeypatch):
    monkeypatch.setenv("CSMS_OCPP_PORT", "0")
    monkeypatch.setenv("CSMS_HTTP_PORT", "0")
    said: list[str] = []
    summary = await demos.run(plan(tmp_path), said.append)
    assert summary["stations_connected"] == 4
    assert summary["acknowledged_lost"] == 0
    assert any(line.startswith("Fleet:") for line in said)
    assert plan(tmp_path).passwords.stat().st_mode & 0o777 == 0o600


@pytest.mark.journey
async def test_failing_simulator_is_told(tmp_path):
    with pytest.raises(CommandError, match="csms-sim audit failed"):
        await demos._simulator("audit", "--ledger", str(tmp_path / "none"), "--database", "sqlite:///none")


async def test_server_that_cannot_start_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CSMS_ADMIN_KEY", "short")
    with pytest.raises(Exception, match="CSMS_ADMIN_KEY"):
        await demos.run(plan(tmp_path), lambda line: None)
