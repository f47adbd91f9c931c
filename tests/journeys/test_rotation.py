"""A password changes, and the server is killed at each step of it: the station gets in with the one that it holds.

`CSMS_ROTATION_KILLS` says how often each step is killed (once if left out).
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conformance.station import Station
from tests.journeys.processes import ServerProcess

pytestmark = pytest.mark.journey

ROUNDS = int(os.environ.get("CSMS_ROTATION_KILLS", "1"))
KEY = "csms_rotation-tests-only"
PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
TAKEN = {"setVariableResult": [PASSWORD | {"attributeStatus": "Accepted"}]}


class Rotation:
    """A server that is killed, a station, and the operator who changes its password."""

    def __init__(self, folder: Path, http: httpx.AsyncClient, server: ServerProcess):
        self.folder, self.http, self.server = folder, http, server
        self.station: Station
        self.old, self.new = "", ""

    async def begin(self, number: int) -> None:
        identity = f"CS-{number}"
        answer = await self.http.put(f"/api/v1/stations/{identity}", json={})
        self.old, self.new = answer.json()["password"], f"new-password-of-round-{number}"
        self.station = Station(self.server.url, identity, "2.0.1", self.old)
        await self.station.connect()
        await self.station.boot()

    def change(self, **params: Any) -> asyncio.Task:
        data = {"setVariableData": [PASSWORD | {"attributeValue": self.new}]}
        path = f"/api/v1/stations/{self.station.identity}/commands/SetVariables"
        return asyncio.create_task(self.http.post(path, json=data, params={"wait": 20, **params}))

    async def asked(self) -> str:
        """The question has arrived, and is not answered yet; its id."""
        async with asyncio.timeout(10):
            id, action, _ = await self.station._questions.get()
        assert action == "SetVariables"
        return id

    async def killed(self, *tasks: asyncio.Task) -> None:
        await self.server.kill()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self.station.close()
        except ConnectionClosed:
            self.station._socket = None
        await self.server.start()

    async def holds(self, password: str) -> None:
        """The station gets in with this one, and from then on nobody with the other."""
        other = self.new if password == self.old else self.old
        self.station.password = password
        await self.station.connect()
        assert (await self.station.boot())["status"] == "Accepted"
        await self.station.close()
        self.station.password = other
        with pytest.raises(InvalidStatus) as refused:
            await self.station.connect()
        assert refused.value.response.status_code == 401


@pytest.fixture
async def rotation(tmp_path: Path):
    server = ServerProcess(tmp_path, admin_key=KEY)
    await server.start()
    async with httpx.AsyncClient(base_url=server.http, headers={"Authorization": f"Bearer {KEY}"}, timeout=30) as http:
        yield Rotation(tmp_path, http, server)
    await server.stop()


async def test_station_is_let_in_whatever_step_the_server_was_killed_at(rotation: Rotation):
    for number in range(0, 10 * ROUNDS, 10):
        # Recorded, and not sent: the station is not there.
        await rotation.begin(number)
        await rotation.station.close()
        waiting = rotation.change(queue=60)
        await _recorded(rotation)
        await rotation.killed(waiting)
        await rotation.holds(rotation.old)
        # Sent, and no answer came: the station may hold either.
        for which, step in (("old", 1), ("new", 2)):
            await rotation.begin(number + step)
            waiting = rotation.change()
            await rotation.asked()
            await rotation.killed(waiting)
            await rotation.holds(getattr(rotation, which))
        # Answered, and killed at once: on record or not, the new one holds.
        await rotation.begin(number + 3)
        waiting = rotation.change()
        id = await rotation.asked()
        await rotation.station._socket.send(_answer(id))
        await rotation.killed(waiting)
        await rotation.holds(rotation.new)
        # On record.
        await rotation.begin(number + 4)
        waiting = rotation.change()
        await rotation.station._socket.send(_answer(await rotation.asked()))
        assert (await waiting).json()["status"] == "answered"
        await rotation.killed()
        await rotation.holds(rotation.new)


async def _recorded(rotation: Rotation) -> None:
    async with asyncio.timeout(10):
        while True:
            found = await rotation.http.get("/api/v1/commands", params={"station_id": rotation.station.identity})
            if found.json()["items"]:
                return
            await asyncio.sleep(0.01)


def _answer(id: str) -> str:
    return json.dumps([3, id, TAKEN])
