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

from tests.faults.disk import Disk
from tests.journeys.processes import ROOT, Fleet, ServerProcess

__all__ = ["FaultyServer", "Fleet"]
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
