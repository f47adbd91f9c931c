"""A server and a fleet as processes, as operators run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**settings: Any) -> dict[str, str]:
    """This process's environment without CSMS settings of its own, and with these."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("CSMS_")}
    given = {f"CSMS_{key.upper()}": str(value) for key, value in settings.items()}
    return {**inherited, "PYTHONPATH": str(ROOT), **given}


class ServerProcess:
    """`csms serve`, to be killed and started again on the same database and ports."""

    program: tuple[str, ...] = (sys.executable, "-m", "csms", "serve")
    extra: Mapping[str, str] = {}  # For the environment of the server alone.

    def __init__(self, directory: Path, **settings: Any):
        self.directory = directory
        self.settings = {
            "database_url": f"sqlite:///{directory / 'csms.db'}", "ocpp_port": free_port(), "http_port": free_port(),
            "log_level": "warning", "log_format": "json", "rate_messages": 0, **settings,
        }  # fmt: skip
        self.database = self.settings["database_url"]
        self.said: list[str] = []  # What it announced.
        self._log = directory / "server.log"
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.settings['ocpp_port']}/ocpp"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.settings['http_port']}"

    @property
    def environment(self) -> dict[str, str]:
        return environment(**self.settings)

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program, env={**self.environment, **self.extra}, stdout=PIPE, stderr=log, cwd=self.directory
            )
        async with asyncio.timeout(READY_WITHIN):
            while True:
                line = await self._process.stdout.readline()
                if not line:
                    await self._process.wait()
                assert line, f"the server ended: {self._log.read_text()[-2000:]}"
                self.said.append(line.decode().strip())
                if line.startswith(b"Data:"):
                    return

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """As a power cut would, for the process: no goodbye, nothing flushed."""
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> int:
        """Ask for the end, as a service manager does; the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            return await self._process.wait()

    async def command(self, *arguments: str) -> Any:
        """A `csms` command with --json."""
        return json.loads(await run_module("csms", *arguments, "--json", env=self.environment))

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]


async def run_module(
    module: str,
    *arguments: str,
    env: dict[str, str] | None = None,
    accept: tuple[int, ...] = (0,),
    errors: bool = False,
) -> str:
    """What `python -m module …` prints, or, with `errors`, what it complains of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env=env or environment(), stdout=PIPE, stderr=PIPE
    )
    out, complaints = await process.communicate()
    assert process.returncode in accept, complaints.decode()[-3000:]
    return (complaints if errors else out).decode()


async def run_fleet(*arguments: str) -> dict[str, Any]:
    """`csms-sim run … --json`: its summary."""
    out = await run_module("simulators", "run", *arguments, "--json")
    return json.loads(out.strip().splitlines()[-1])


async def audit(ledger: Path, database: str, beliefs: Path | None = None) -> dict[str, Any]:
    extra = ["--beliefs", str(beliefs)] if beliefs else []
    out = await run_module(
        "simulators", "audit", "--ledger", str(ledger), "--database", database, *extra, "--json", accept=(0, 1, 2)
    )
    return json.loads(out.strip().splitlines()[-1])
