"""The whole way on PostgreSQL, as an operator walks it: migrate, look, serve, charge, and hear of it over MQTT."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.reference import reference_session
from tests.journeys.processes import ServerProcess, ask, run_module
from tests.live.broker import Broker, Listener
from tests.postgres import Postgres
from tests.postgres import database as fresh


@pytest.fixture
async def server(postgres: Postgres, tmp_path: Path, broker: Broker):
    process = ServerProcess(tmp_path, database_url=await fresh(postgres), mqtt_url=broker.url)
    yield process
    if process.running:
        await process.stop()


async def test_stations_of_both_versions_charge_on_postgres_and_subscribers_hear_of_it(
    server: ServerProcess, listener: Listener
) -> None:
    assert (await server.command("migrate"))["before"] is not None
    await server.start()
    for number, version in enumerate(("1.6", "2.0.1")):
        station, token = f"REF-{number}", f"CARD-{number}"
        added = await server.command("station", "add", station)
        await server.command("token", "add", token)
        await reference_session(server.url, station, version, password=added["password"], token=token)
        (session,) = await server.command("session", "list", "--station", station)
        assert (session["status"], session["token"], session["authorization"]) == ("closed", token, "accepted")
        assert session["energy_wh"] == session["meter_stop_wh"] - session["meter_start_wh"] > 0
        await listener.until(
            lambda station=station: any(
                event["type"] == "session.closed" and event["station"] == station for event in listener.events()
            )
        )
    ids = [tuple(map(int, event["event_id"].split("-"))) for event in listener.events()]
    assert sorted(set(ids)) == list(dict.fromkeys(ids))
    assert await ask(server.database, "SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL") == [(2,)]
    assert not [line for line in server.log_lines() if line["level"] == "error"]


async def test_doctor_names_what_would_lose_answers(server: ServerProcess) -> None:
    """The server of most tests does not sync its disk: exactly that has to be found."""
    out = await run_module("csms", "doctor", env=server.environment, accept=(1,))
    assert "answers: PostgreSQL" in out and "schema" in out
    assert "fsync is off" in out and "key for tests" not in out
