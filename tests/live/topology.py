"""The deployment of config/compose.yml as processes: two nodes on one PostgreSQL and one broker, behind HAProxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import httpx

from tests.faults.proxy import Proxy
from tests.journeys.processes import ROOT, Fleet, ServerProcess, ask, assert_sound, free_port
from tests.live.broker import Broker, tool
from tests.live.stations import STATION, remote_starts
from tests.postgres import Postgres, database

KEY = "the admin key of both nodes"
TOKEN = "SIM-TOKEN-0001"  # Of the fleet.
STATIONS = 40  # In the fleet.
BACK_WITHIN = 90.0  # s
ENDED_WITHIN = 60.0  # s
FINAL = {"answered", "offline", "timeout", "unknown"}  # How commands to a station that accepts everything may end.


class Way:
    """Between a node and the broker, on loopback: to be cut, and mended."""

    def __init__(self, port: int):
        self._to = port
        self.port = free_port()
        self._open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._open = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        ends = [writer]
        try:
            if not self._open:
                return
            above, upstream = await asyncio.open_connection("127.0.0.1", self._to)
            ends.append(upstream)
            self._writers.update(ends)
            await asyncio.gather(_carry(reader, upstream), _carry(above, writer))
        except OSError:
            pass
        finally:
            self._writers.difference_update(ends)
            for end in ends:
                end.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()


class Topology:
    """Everything running. The first node's ways to the database and the broker can be cut."""

    def __init__(self, folder: Path, postgres: Postgres, broker: Broker):
        self.directory = folder
        self.postgres = postgres
        self.broker = broker
        self.way_to_database = Proxy(folder / "way", postgres.socket)
        self.way_to_broker = Way(broker.port)
        self.stations, self.api = free_port(), free_port()
        self.nodes: list[ServerProcess] = []
        self._ways = contextlib.AsyncExitStack()
        self._haproxy: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where stations connect: HAProxy."""
        return f"ws://127.0.0.1:{self.stations}/ocpp"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Topology]:
        try:
            await self.start()
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        self.database = await database(self.postgres)
        await self._lay_ways()
        for node in self.nodes:
            await node.start()
        self._start_haproxy()
        for node in self.nodes:
            await node.until_ready()
        await self.until_served()

    async def stop(self) -> None:
        if self._haproxy is not None:
            self._haproxy.kill()
            self._haproxy.wait()
        self.way_to_database.flow()
        for node in self.nodes:
            if node.running:
                with contextlib.suppress(TimeoutError):
                    await node.stop()
            if node.running:
                await node.kill()
        await self._ways.aclose()

    async def _lay_ways(self) -> None:
        """The nodes, not started yet, and what they need to be reached and to reach others."""
        for way in (self.way_to_database, self.way_to_broker):
            await way.start()
            self._ways.push_async_callback(way.stop)
        through = self.database.replace(str(self.postgres.socket.parent), str(self.way_to_database.folder))
        assert through != self.database
        self._add_node(through, self.broker.url.replace(str(self.broker.port), str(self.way_to_broker.port)))
        self._add_node(self.database, self.broker.url)

    def _add_node(self, database_url: str, mqtt_url: str, **settings: str) -> None:
        folder = self.directory / f"node{len(self.nodes) + 1}"
        folder.mkdir()
        node = ServerProcess(
            folder, database_url=database_url, mqtt_url=mqtt_url, secret_key="k" * 32, admin_key=KEY,
            registration="open", log_level="info", **settings,
        )  # fmt: skip
        self.nodes.append(node)

    def http(self, node: int | None = None) -> httpx.AsyncClient:
        """The API of one node, or of whichever HAProxy chooses."""
        base = f"http://127.0.0.1:{self.api}" if node is None else self.nodes[node].http
        return httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)

    async def until_served(self) -> None:
        async with asyncio.timeout(30), self.http() as http:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get("/health/ready")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    async def totals(self) -> dict[str, Any]:
        async with self.http(1) as http:
            return (await http.get("/api/v1/totals")).json()

    async def charging(self) -> Fleet:
        """A fleet behind HAProxy, to be ended by the test, that charges by now."""
        async with self.http() as http:
            (await http.put(f"/api/v1/tokens/{TOKEN}", json={})).raise_for_status()
        fleet = Fleet(self, 3600, stations=STATIONS)
        await self.everybody_is_back(fleet)
        return fleet

    async def everybody_is_back(self, fleet: Fleet, without: int = 0) -> None:
        """Nine in ten stations are connected (some charge offline by their scenario), none at the process `without`."""
        began = monotonic()
        async with asyncio.timeout(BACK_WITHIN):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    [(here,)] = await ask(self.database, _HERE.format(without=without))
                    if here >= STATIONS * 9 // 10:
                        break
                await asyncio.sleep(0.2)
        print(f"back after {monotonic() - began:.1f} s", flush=True)  # For who runs it by hand, with -s.
        await fleet.goes_on()

    async def start_remotely(self) -> None:
        """An operator on each node in turn, for ever; a node, or the way to it, may be away meanwhile."""
        number = 0
        while True:
            number += 1
            with contextlib.suppress(httpx.HTTPError):
                async with self.http(number % len(self.nodes)) as http:
                    path = f"/api/v1/stations/{STATION}/commands/RemoteStartTransaction"
                    await http.post(path, json={"idTag": TOKEN}, timeout=2)
            await asyncio.sleep(0.2)

    async def commands_ended(self) -> dict[str, str]:
        """How each command ended, by its message id; none is anybody's errand any longer."""
        async with asyncio.timeout(ENDED_WITHIN):
            while True:
                errands = await ask(self.database, "SELECT count(*) FROM errands")
                ended = dict(await ask(self.database, "SELECT id::text, status FROM commands"))
                if set(ended.values()) <= FINAL and errands == [(0,)]:
                    return ended
                await asyncio.sleep(0.2)

    async def assert_each_start_was_sent_once(self, asked: list[tuple[str, str]]) -> None:
        """Of what the station was asked; and each command has an end, which is true."""
        sent, ended = remote_starts(asked), await self.commands_ended()
        assert max(sent.values()) == 1, f"sent twice: {sent.most_common(3)}"
        assert len(sent) > 5, "too few to tell"
        assert not [message_id for message_id in sent if ended[message_id] == "offline"], "sent, and said not to be"
        print(dict(Counter(ended.values())), f"{len(sent)} remote starts at the station")

    async def assert_nothing_was_lost(self, fleet: Fleet) -> None:
        """Nothing acknowledged is lost or doubled; the fleet is ended for it."""
        summary = await fleet.ended()
        verdict = await fleet.verdict()
        assert verdict["acknowledged_lost"] == 0, verdict
        assert not any(verdict["findings"].values()), verdict
        assert verdict["messages_acknowledged"] > 200, "too little load for the test to mean anything"
        assert summary["unacknowledged"] == 0
        assert fleet.refused() == [], "a transaction message was answered with an error"
        await assert_sound(self.database)

    def _start_haproxy(self) -> None:
        ports = {"STATIONS": f"127.0.0.1:{self.stations}", "API": f"127.0.0.1:{self.api}"}
        for number, node in enumerate(self.nodes, 1):
            ports[f"NODE{number}_STATIONS"] = f"{node.address}:{node.settings['ocpp_port']}"
            ports[f"NODE{number}_API"] = f"{node.address}:{node.settings['http_port']}"
            ports[f"NODE{number}_HEALTH"] = str(node.settings["http_port"])
        with open(self.directory / "haproxy.log", "ab") as output:
            self._haproxy = subprocess.Popen(
                [tool("haproxy", "haproxy"), "-db", "-f", ROOT / "config" / "haproxy.cfg"],
                env={**os.environ, **ports}, stdout=output, stderr=output,
            )  # fmt: skip


_HERE = """
    SELECT count(*) FROM stations s JOIN holdings h ON h.station_id = s.id JOIN nodes n ON n.id = h.node
    WHERE s.connected_at IS NOT NULL AND n.lost_at IS NULL AND n.name NOT LIKE '%:{without}'
"""
