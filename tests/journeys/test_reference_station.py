"""A station built on the independent `ocpp` and `websockets` packages completes a session: our codec is not its own judge."""

from __future__ import annotations

import asyncio

import pytest

from simulators.reference import reference_session
from tests.journeys.processes import ServerProcess


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize("with_password", [True, False], ids=["credentials", "no-credentials"])
async def test_a_reference_station_completes_a_session(
    server: ServerProcess, version: str, with_password: bool
) -> None:
    added = await server.command("station", "add", "REF-1", *([] if with_password else ["--no-password"]))
    await server.command("token", "add", "CARD-1")

    await reference_session(server.url, "REF-1", version, password=added["password"], token="CARD-1")

    (session,) = await server.command("session", "list", "--station", "REF-1")
    assert (session["status"], session["token"], session["authorization"]) == ("closed", "CARD-1", "accepted")
    assert session["energy_wh"] == session["meter_stop_wh"] - session["meter_start_wh"] > 0


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_an_operator_starts_and_stops_a_session_of_a_reference_station(
    server: ServerProcess, version: str
) -> None:
    added = await server.command("station", "add", "REF-2")
    await server.command("token", "add", "CARD-2")
    station = asyncio.create_task(
        reference_session(server.url, "REF-2", version, password=added["password"], token="CARD-2", remote=True)
    )
    async with asyncio.timeout(30):
        while not (await server.command("station", "show", "REF-2"))["connectors"]:
            await asyncio.sleep(0.05)
        started = await server.command("session", "start", "REF-2", "CARD-2")
        assert started["accepted"] is True
        while not (running := await server.command("session", "list", "--status", "active")):
            await asyncio.sleep(0.05)
        stopped = await server.command("session", "stop", str(running[0]["id"]))
        assert stopped["accepted"] is True
        await station

    (session,) = await server.command("session", "list", "--station", "REF-2")
    assert (session["status"], session["stop_reason"]) == ("closed", "Remote")
