"""A server and a fleet as processes, as operators run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 60.0


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

    address = "127.0.0.1"
    program: tuple[str, ...] = (sys.executable, "-m", "csms", "serve")
    extra: Mapping[str, str] = {}  # For the environment of the server alone.

    def __init__(self, directory: Path, **settings: Any):
        self.directory = directory
        self.settings = {
            "database_url": f"sqlite:///{directory / 'csms.db'}", "ocpp_port": free_port(), "http_port": free_port(),
            "log_level": "warning", "log_format": "json", "rate_messages": 0, **settings,
        }  # fmt: skip
        self.database = self.settings["database_url"]
        if not self.database.startswith("sqlite:"):
            self.settings.setdefault("secret_key", "a key for tests only")
        self.said: list[str] = []  # What it announced.
        self._log = directory / "server.log"
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return f"ws://{self.address}:{self.settings['ocpp_port']}/ocpp"

    @property
    def http(self) -> str:
        return f"http://{self.address}:{self.settings['http_port']}"

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
    def process_id(self) -> int:
        return self._process.pid

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

    async def health(self, probe: str) -> int:
        """What /health/live or /health/ready answers."""
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{self.http}/health/{probe}", timeout=10)).status_code

    async def until_ready(self, ready: bool = True) -> None:
        async with asyncio.timeout(READY_WITHIN):
            while (await self.health("ready") == 200) is not ready:
                await asyncio.sleep(0.05)

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


class Fleet:
    """Stations that charge and retry while their server suffers; `verdict` holds what they were told against it."""

    def __init__(self, server: ServerProcess, seconds: float, *, stations: int = 60, drain: float = 40):
        """`seconds`: how long it runs unless it is ended before."""
        self._server = server
        self._ledger = server.directory / "ledger.ndjson"
        self._beliefs = server.directory / "beliefs.ndjson"
        self._arguments = (
            "--url", server.url, "--stations", str(stations), "--version", "mix", "--scenario", "rough",
            "--speed", "90", "--for", str(seconds), "--drain", str(drain), "--timeout", "5",
            "--ledger", str(self._ledger), "--beliefs", str(self._beliefs), "--token", "SIM-TOKEN-0001",
        )  # fmt: skip
        self._run = asyncio.create_task(self._watched())
        self._process: Process | None = None

    async def _watched(self) -> dict[str, Any]:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simulators", "run", *self._arguments, "--json",
            env=environment(), stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        try:
            out, complaints = await self._process.communicate()
        except asyncio.CancelledError:
            self._process.kill()
            raise
        assert self._process.returncode == 0, complaints.decode()[-3000:]
        return json.loads(out.decode().strip().splitlines()[-1])

    async def finished(self) -> dict[str, Any]:
        """The fleet's own summary."""
        return await self._run

    async def ended(self) -> dict[str, Any]:
        """The same, and it ends now: what charges is ended, what is owed is told."""
        self._process.send_signal(signal.SIGINT)
        return await self._run

    async def verdict(self) -> dict[str, Any]:
        found = await audit(self._ledger, self._server.database, self._beliefs)
        figures = ("messages_acknowledged", "messages_unacknowledged", "sessions", "samples", "acknowledged_lost")
        told = {name: found[name] for name in figures} | {"doubled": found["findings"]["stored_twice"]}
        print(told)  # For who runs it by hand, with -s.
        return found

    async def goes_on(self, more: int = 8_000) -> None:
        """Wait until so many bytes more were told and answered (some 40 lines of the ledger)."""
        until = self._told() + more
        async with asyncio.timeout(READY_WITHIN):
            while self._told() < until:
                assert not self._run.done(), "the fleet has ended"
                await asyncio.sleep(0.02)

    def _told(self) -> int:
        return self._ledger.stat().st_size if self._ledger.exists() else 0

    def refused(self) -> list[str]:
        """Transaction messages that were answered with an error."""
        return [line for line in self._ledger.read_text().splitlines() if '"kind":"refused"' in line]


async def ask(database: str, sql: str) -> list[tuple[Any, ...]]:
    """What a database of either engine answers."""
    if database.startswith("sqlite:"):
        with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection:
            return connection.execute(sql).fetchall()
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def assert_sound(database: str) -> None:
    """The database is whole, no sample is an orphan, and the end of each session was told."""
    if database.startswith("sqlite:"):
        assert await ask(database, "PRAGMA integrity_check") == [("ok",)]
        assert await ask(database, "PRAGMA foreign_key_check") == []
    assert await ask(database, "SELECT count(*) FROM samples WHERE session_id NOT IN (SELECT id FROM sessions)") == [
        (0,)
    ]
    ended = await ask(database, "SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL")
    texts = [text for (text,) in await ask(database, "SELECT events FROM outbox ORDER BY id")]
    told = {event["session"] for text in texts for event in json.loads(text) if event["type"] == "session.closed"}
    assert len(told) == ended[0][0]


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
