"""More sockets than a server has descriptors for (N13): it goes on, and who was with it stays."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE

from csms.ocpp.catalogue import Version
from tests.journeys.processes import READY_WITHIN, ServerProcess
from tests.journeys.test_mutated_frames import Socket

DESCRIPTORS = 160


class CrampedServer(ServerProcess):
    """A server that the system grants few descriptors."""

    async def start(self) -> None:
        limited = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh", sys.executable, "-m", "csms", "serve"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *limited, env=self.environment, stdout=PIPE, stderr=log, cwd=self.directory
            )
        async with asyncio.timeout(READY_WITHIN):
            while not (await self._process.stdout.readline()).startswith(b"Data:"):
                assert self._process.returncode is None


async def test_N13_a_server_out_of_descriptors_serves_on(tmp_path) -> None:
    server = CrampedServer(tmp_path, registration="open")
    await server.start()
    port = server.settings["ocpp_port"]
    canary = Socket(port, "CANARY", Version.V16)
    await canary.open()
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * DESCRIPTORS)]

    assert "currentTime" in await canary.call("Heartbeat", {})
    assert await server.command("station", "list"), "files and operators have their reserve"
    for _, writer in held:
        writer.close()
    newcomer = Socket(port, "LATE", Version.V16)
    async with asyncio.timeout(20):
        while True:  # Who was accepted just before there was room is cut off, and comes again, as stations do.
            try:
                await newcomer.open()
                break
            except (ConnectionError, asyncio.IncompleteReadError):
                newcomer.close()
    assert "currentTime" in await canary.call("Heartbeat", {})
    newcomer.close()
    canary.close()
    assert await server.stop() == 0
    events = [line["event"] for line in server.log_lines()]
    assert "gateway.full" in events
    assert not [line for line in server.log_lines() if line["level"] == "error"]
