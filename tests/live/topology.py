"""The deployment of config/compose.yml as processes: two nodes on one PostgreSQL and one broker, behind HAProxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.faults.proxy import Proxy
from tests.journeys.processes import ROOT, ServerProcess, free_port
from tests.live.broker import Broker, tool
from tests.postgres import Postgres, database

KEY = "the admin key of both nodes"


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
        self._haproxy: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where stations connect: HAProxy."""
        return f"ws://127.0.0.1:{self.stations}/ocpp"

    async def start(self) -> None:
        self.database = await database(self.postgres)
        await self.way_to_database.start()
        await self.way_to_broker.start()
        through = self.database.replace(str(self.postgres.socket.parent), str(self.way_to_database.folder))
        assert through != self.database
        near = self.broker.url.replace(str(self.broker.port), str(self.way_to_broker.port))
        for number, (url, mqtt) in enumerate([(through, near), (self.database, self.broker.url)], 1):
            folder = self.directory / f"node{number}"
            folder.mkdir()
            node = ServerProcess(
                folder, database_url=url, mqtt_url=mqtt, secret_key="k" * 32, admin_key=KEY, registration="open",
                log_level="info",
            )  # fmt: skip
            self.nodes.append(node)
        await self.nodes[0].start()
        await self.nodes[1].start()
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
        await self.way_to_broker.stop()
        await self.way_to_database.stop()

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
