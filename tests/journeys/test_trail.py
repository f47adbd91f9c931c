"""An operator asks a station something, and reads in the trail what both said."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from csms.settings import Settings
from simulators.reference import reference_session
from tests.test_app import running


async def test_trail_shows_both_directions_of_a_conversation(database_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{database_path}", ocpp_port=0, http_port=0)
    async with running(settings) as server, server.http() as http:
        await http.put("/api/v1/tokens/04A2B3C4", json={})
        made = (await http.put("/api/v1/stations/CP-1", json={})).json()
        url = server.said("Stations:").removesuffix("/<station>")
        station = asyncio.create_task(
            reference_session(url, "CP-1", "1.6", password=made["password"], token="04A2B3C4", remote=True)
        )
        async with asyncio.timeout(10):
            while not (await http.get("/api/v1/stations/CP-1")).json()["connectors"]:
                await asyncio.sleep(0.02)
        started = await http.post("/api/v1/sessions", json={"station_id": "CP-1", "token": "04A2B3C4"})
        assert started.json()["accepted"] is True
        session = await running_session(http)
        assert (await http.post(f"/api/v1/sessions/{session['id']}/stop")).json()["accepted"] is True
        await station

        said = (await http.get("/api/v1/stations/CP-1/messages?limit=1000")).json()["items"]
        actions = [(each["direction"], each["action"], each["outcome"]) for each in reversed(said)]
        assert actions[0] == ("from_station", "BootNotification", "answered")
        assert ("to_station", "RemoteStartTransaction", "answered") in actions
        assert ("to_station", "RemoteStopTransaction", "answered") in actions
        asked = next(each for each in said if each["action"] == "RemoteStartTransaction")
        assert asked["frame"][3]["idTag"] == "04…C4"
        assert asked["answer"] == [3, asked["message_id"], {"status": "Accepted"}]

        of_session = (await http.get(f"/api/v1/sessions/{session['id']}/messages")).json()["items"]
        found = {each["action"] for each in of_session}
        assert {"StartTransaction", "StopTransaction", "RemoteStopTransaction"} <= found
        assert "BootNotification" not in found


async def running_session(http: httpx.AsyncClient) -> dict:
    async with asyncio.timeout(10):
        while not (found := (await http.get("/api/v1/sessions?status=active")).json()["items"]):
            await asyncio.sleep(0.02)
    return found[0]
