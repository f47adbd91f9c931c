"""A server on a disk that fails, a fleet that charges on it meanwhile, and what both say afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.faults.disk import Disk
from tests.journeys.processes import ROOT, ServerProcess, audit, run_fleet

SERVE_AS_TOLD = ROOT / "tests" / "faults" / "serve.py"


class FaultyServer(ServerProcess):
    """`csms serve` over a `Disk`, or with another pragma than any user may set."""

    def __init__(self, directory: Path, disk: Disk | None, synchronous: str | None, **settings: Any):
        super().__init__(directory, **settings)
        self.disk = disk
        if synchronous is not None:
            self.program = (sys.executable, str(SERVE_AS_TOLD))
        self.extra = {**(disk.environment if disk else {}), "FAULTS_SYNCHRONOUS": synchronous or ""}

    @property
    def path(self) -> Path:
        return self.directory / "csms.db"

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def end(self) -> None:
        """Stop it if it runs, however."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(20):
                    await self._process.wait()
            except TimeoutError:
                await self.kill()

    async def health(self, probe: str) -> int:
        """What /health/live or /health/ready answers."""
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{self.http}/health/{probe}", timeout=10)).status_code

    async def until_ready(self, ready: bool = True) -> None:
        async with asyncio.timeout(30):
            while (await self.health("ready") == 200) is not ready:
                await asyncio.sleep(0.05)

    def log_lines(self) -> list[dict[str, Any]]:
        """Without those that were torn because the disk was full."""
        lines = []
        for line in self._log.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
        return [line for line in lines if isinstance(line, dict)]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log_lines() if line["event"] == name]

    def resident(self) -> int:
        """Bytes of memory in use."""
        pages = Path(f"/proc/{self.process_id}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def assert_sound(self) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []


class Fleet:
    """Stations that charge and retry while their server suffers; `verdict` holds what they were told against it."""

    def __init__(self, server: FaultyServer, seconds: float, *, stations: int = 60, drain: float = 40):
        self._server = server
        self._ledger = server.directory / "ledger.ndjson"
        self._beliefs = server.directory / "beliefs.ndjson"
        self._run = asyncio.create_task(
            run_fleet(
                "--url", server.url, "--stations", str(stations), "--version", "mix", "--scenario", "rough",
                "--speed", "90", "--for", str(seconds), "--drain", str(drain), "--timeout", "5",
                "--ledger", str(self._ledger), "--beliefs", str(self._beliefs), "--token", "SIM-TOKEN-0001",
            )
        )  # fmt: skip

    async def finished(self) -> dict[str, Any]:
        """The fleet's own summary."""
        return await self._run

    async def verdict(self) -> dict[str, Any]:
        found = await audit(self._ledger, self._server.database, self._beliefs)
        figures = ("messages_acknowledged", "messages_unacknowledged", "sessions", "samples", "acknowledged_lost")
        print({name: found[name] for name in figures})  # For who runs it by hand, with -s.
        return found

    def refused(self) -> list[str]:
        """Transaction messages that were answered with an error."""
        return [line for line in self._ledger.read_text().splitlines() if '"kind":"refused"' in line]
