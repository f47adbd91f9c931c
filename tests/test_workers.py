"""Several processes as one server: forked, watched, started again, ended together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests import postgres as postgres_servers
from tests.journeys.processes import ServerProcess
from tests.postgres import Postgres


class Program:
    """A supervisor whose workers do what `work` says (the body of a function of `worker`)."""

    def __init__(self, folder: Path, work: str, count: int = 2, patience: float = 5.0):
        self._file = folder / "program.py"
        self._file.write_text(
            "import os, select, signal, sys\n"
            "from csms import logs, workers\n"
            "from csms.storage.place import StartError\n"
            "logs.configure('error', 'json')\n"
            "def wait(): select.select([LIFELINE], [], [])\n"
            "def say(word): os.write(1, f'{word}\\n'.encode())\n"
            f"def work(worker):\n    global LIFELINE\n    LIFELINE = worker.lifeline\n{''.join(f'    {line}{chr(10)}' for line in work.splitlines())}"
            f"sys.exit(workers.Supervisor({count}, work, lambda: say('all'), {patience}, first_pause=0.05).run())\n"
        )

    async def __aenter__(self) -> Program:
        self.process = await asyncio.create_subprocess_exec(sys.executable, self._file, stdout=PIPE, stderr=PIPE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()  # Until the workers, too, have let go of their end.

    async def line(self) -> str:
        async with asyncio.timeout(10):
            return (await self.process.stdout.readline()).decode().strip()

    async def end(self) -> tuple[int, str]:
        async with asyncio.timeout(10):
            complaints = await self.process.stderr.read()
            return await self.process.wait(), complaints.decode()


WAITS = "worker.started()\nsay(os.getpid())\nwait()"


async def test_all_is_said_once_when_every_worker_has_started(tmp_path: Path):
    async with Program(tmp_path, "worker.started()\nwait()", count=3) as program:
        assert await program.line() == "all"


async def test_worker_that_dies_is_started_again(tmp_path: Path):
    async with Program(tmp_path, WAITS, count=1) as program:
        first, _ = sorted([await program.line(), await program.line()])
        os.kill(int(first), signal.SIGKILL)
        assert int(await program.line()) != int(first)


async def test_signal_reaches_every_worker_and_ends_the_supervisor(tmp_path: Path):
    work = "signal.signal(signal.SIGTERM, lambda *_: (say('bye'), os._exit(0)))\nworker.started()\nwait()"
    async with Program(tmp_path, work) as program:
        assert await program.line() == "all"
        program.process.send_signal(signal.SIGTERM)
        assert [await program.line(), await program.line()] == ["bye", "bye"]
        assert (await program.end())[0] == 0


async def test_worker_that_does_not_end_is_killed(tmp_path: Path):
    work = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nworker.started()\nwait()"
    async with Program(tmp_path, work, patience=0.2) as program:
        assert await program.line() == "all"
        program.process.send_signal(signal.SIGTERM)
        assert (await program.end())[0] == 0


async def test_worker_that_cannot_start_ends_all_with_its_reason(tmp_path: Path):
    work = "if worker.number == 2: raise StartError('No room.')\nwait()"
    async with Program(tmp_path, work) as program:
        status, complaints = await program.end()
    assert status == 1
    assert "Error: No room." in complaints


async def test_workers_end_when_the_supervisor_is_killed(tmp_path: Path):
    work = "worker.started()\nwait()\nsay('left')"
    async with Program(tmp_path, work, count=1) as program:
        assert await program.line() == "all"
        program.process.kill()
        assert await program.line() == "left"


# Servers as workers


@pytest.fixture
async def server(postgres: Postgres, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(
        tmp_path, database_url=await postgres_servers.database(postgres), secret_key="k" * 32,
        workers=2, registration="open",
    )  # fmt: skip
    yield server
    if server.running:
        await server.stop()


@pytest.mark.live
async def test_workers_are_one_server_on_one_port(server: ServerProcess):
    await server.start()
    [said] = [line for line in server.said if "shown only this once" in line]
    headers = {"Authorization": f"Bearer {said.rpartition(' ')[2]}"}
    async with httpx.AsyncClient(base_url=server.http, headers=headers) as http:
        metrics = (await http.get("/metrics")).text
        ready = await http.get("/health/ready")
        totals = await http.get("/api/v1/totals")
    assert "csms_workers 2.0" in metrics
    assert ready.json() == {"ready": True, "reason": None}
    assert totals.status_code == 200
    assert await server.stop() == 0


async def test_several_workers_are_refused_with_a_file(tmp_path: Path):
    server = ServerProcess(tmp_path, workers=2)
    with pytest.raises(AssertionError, match="One process writes to a SQLite file"):
        await server.start()


async def test_port_in_use_is_told_once(postgres: Postgres, tmp_path: Path):
    url = await postgres_servers.database(postgres)
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    server = ServerProcess(
        tmp_path, database_url=url, secret_key="k" * 32, workers=2, ocpp_port=taken.sockets[0].getsockname()[1]
    )
    with pytest.raises(AssertionError, match="Choose another CSMS_OCPP_PORT"):
        await server.start()
    taken.close()
