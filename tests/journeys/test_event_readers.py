"""Those who follow events are cut off, and the server is killed, under load: who resumes misses nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.processes import ServerProcess, run_fleet

CUTS = int(os.environ.get("CSMS_READER_CUTS", "6"))
KEY = "a-key-for-readers-of-events"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    process = ServerProcess(tmp_path, registration="open", admin_key=KEY)
    await process.start()
    yield process
    await process.stop()


class Follower:
    """A reader of server-sent events that resumes where it was, whatever ends its connection."""

    def __init__(self, server: ServerProcess):
        self._server = server
        self._socket: asyncio.Task | None = None
        self.events: list[dict[str, Any]] = []
        self.last_id = "0"
        self.connections = 0

    async def run(self) -> None:
        while True:
            self._socket = asyncio.create_task(self._connection())
            await asyncio.wait({self._socket})
            if not self._socket.cancelled():
                self._socket.exception()
            await asyncio.sleep(0.05)

    def cut(self) -> None:
        self._socket.cancel()

    async def _connection(self) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Last-Event-ID": self.last_id}
        async with (
            httpx.AsyncClient(base_url=self._server.http, headers=headers, timeout=None) as http,
            http.stream("GET", "/api/v1/events") as response,
        ):
            response.raise_for_status()
            self.connections += 1
            last_id = self.last_id
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    last_id = value
                elif name == "data":
                    self.events.append(json.loads(value))
                elif not line:
                    self.last_id = last_id


async def test_reader_that_is_cut_off_under_load_misses_nothing(server: ServerProcess, tmp_path: Path) -> None:
    await server.command("token", "add", "SIM-TOKEN-0001")
    fleet = asyncio.create_task(
        run_fleet("--url", server.url, "--stations", "60", "--version", "mix", "--scenario", "rough", "--speed", "90",
                  "--for", str(CUTS * 2 + 6), "--drain", "30", "--timeout", "5", "--token", "SIM-TOKEN-0001")
    )  # fmt: skip
    follower = Follower(server)
    following = asyncio.create_task(follower.run())
    dice = random.Random(CUTS)
    for number in range(CUTS):
        known = len(follower.events)
        await until(lambda known=known: len(follower.events) > known + 50)
        await asyncio.sleep(dice.uniform(0.5, 1.5))  # Not awaiting anything: the moment of the cut is what is varied.
        if number % 3 == 2:
            await server.kill()
            await server.start()
        else:
            follower.cut()
    await fleet
    await until(lambda: follower.events and follower.events[-1]["event_id"] == stored(tmp_path)[-1])
    following.cancel()

    got = [event["event_id"] for event in follower.events]
    assert got == stored(tmp_path), "in order, each once, none left out"
    assert len(got) > 50 * CUTS, "too little load for the test to mean anything"
    assert follower.connections >= CUTS
    places = [tuple(map(int, id.split("-"))) for id in got]
    assert all(before < after for before, after in pairwise(places))


def stored(folder: Path) -> list[str]:
    """The ids of all committed events, in order."""
    with sqlite3.connect(folder / "csms.db") as database:
        rows = database.execute("SELECT id, json_array_length(events) FROM outbox ORDER BY id").fetchall()
    return [f"{id}-{place}" for id, count in rows for place in range(count)]


async def until(condition: Callable[[], Any]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.05)
