"""A bulk command outlives its server: killed in the middle, it is carried on, and no station is asked to start twice."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import httpx

from simulators.reference import connected
from tests.journeys.processes import ServerProcess

ADMIN_KEY = "csms_bulk-tests-only"
STATIONS = 12
START = {"action": "RemoteStartTransaction", "payload": {"idTag": "TAG"}, "all": True, "rate": 20, "concurrency": 2}


async def test_bulk_of_a_killed_server_is_carried_on_and_starts_nobody_twice(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, admin_key=ADMIN_KEY)
    await server.start()
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=f"{server.http}/api/v1/", headers=headers, timeout=30) as http:
        passwords = {}
        for number in range(STATIONS):
            added = await http.put(f"stations/BULK-{number:02}", json={})
            passwords[f"BULK-{number:02}"] = added.json()["password"]
        before, id = await killed_in_the_middle(server, http, passwords)
        assert 0 < sum(before.values()) < STATIONS
        await server.start()
        async with network(server, passwords) as stations:
            told = await ended(http, id)
            after = {name: len(station.heard) for name, station in stations.items()}
        items = (await http.get(f"bulk-commands/{id}/items")).json()["items"]
    await server.stop()

    assert sum(told["progress"].values()) == len(items) == STATIONS
    assert {*told["progress"]} <= {"answered", "unknown"}, "what was under way when it was killed is unknown"
    for item in items:
        name = item["station_id"]
        if item["state"] == "answered":
            assert before[name] + after[name] == 1
        else:  # It was recorded; whether it was sent before the kill, nobody can tell.
            assert before[name] <= 1 and after[name] == 0


async def killed_in_the_middle(
    server: ServerProcess, http: httpx.AsyncClient, passwords: dict[str, str]
) -> tuple[dict[str, int], int]:
    """How often each station was asked until then, and the bulk command."""
    async with network(server, passwords) as stations:
        id = (await http.post("bulk-commands", json=START)).json()["id"]
        async with asyncio.timeout(30):
            while sum(len(station.heard) for station in stations.values()) < STATIONS // 3:
                await asyncio.sleep(0.005)
        await server.kill()
        await asyncio.sleep(0.1)  # What it had sent arrives.
        return {name: len(station.heard) for name, station in stations.items()}, id


@contextlib.asynccontextmanager
async def network(server: ServerProcess, passwords: dict[str, str]) -> Any:
    async with contextlib.AsyncExitStack() as stack:
        stations = {}
        for name, password in passwords.items():
            station = await stack.enter_async_context(connected(server.url, name, "1.6", password=password))
            stations[name] = station
            await station.boot()
        yield stations


async def ended(http: httpx.AsyncClient, id: int) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (told := (await http.get(f"bulk-commands/{id}")).json())["status"] == "running":
            await asyncio.sleep(0.05)
    return told
