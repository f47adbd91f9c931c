"""The command line, and a server that runs beside it in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from csms.__main__ import app
from csms.app import serve
from csms.settings import Settings


class Cli:
    """Runs `csms` in this process, on one database."""

    def __init__(self, database: Path):
        self.database = database
        self._environment = {"CSMS_DATABASE_URL": f"sqlite:///{database}", "CSMS_CONFIG": "", "COLUMNS": "200"}

    def __call__(self, *arguments: str, status: int = 0, env: dict[str, str] | None = None) -> Result:
        result = CliRunner().invoke(app, arguments, env=self._environment | (env or {}))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    def json(self, *arguments: str, status: int = 0, env: dict[str, str] | None = None) -> Any:
        result = self(*arguments, "--json", status=status, env=env)
        assert result.stderr == ""
        return json.loads(result.stdout)

    def fails(self, *arguments: str, **options: Any) -> str:
        """What people are told of a command that ends with status 1."""
        result = self(*arguments, status=1, **options)
        assert result.stdout == ""
        assert result.stderr.startswith("Error: ")
        return result.stderr


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the surroundings counts, and nothing stays behind."""
    for name in list(os.environ):
        if name.startswith("CSMS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CSMS_CONFIG", "")  # The commands set it.
    yield


@pytest.fixture
def cli(database_path: Path) -> Cli:
    """No server runs: each command opens the database itself."""
    return Cli(database_path)


class Served(Cli):
    """Beside a running server; `lines` is what it announced."""

    def __init__(self, database: Path):
        super().__init__(database)
        self.lines: list[str] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        settings = Settings(database_url=f"sqlite:///{self.database}", ocpp_port=0, http_port=0)
        await serve(settings, self._announce, self._stop)

    def _announce(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("Data:"):
            self._ready.set()

    def said(self, start: str) -> str:
        return next(line.removeprefix(start).strip() for line in self.lines if line.startswith(start))

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture(scope="session")
def shared_server(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    before = sys.getswitchinterval(), logging.getLogger("uvicorn.error").level
    server = Served(Path(shutil.copy(migrated, tmp_path_factory.mktemp("cli") / "csms.db")))
    server.start()
    yield server
    server.stop()
    sys.setswitchinterval(before[0])
    logging.getLogger("uvicorn.error").setLevel(before[1])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Beside a running server every command is a story over real sockets."""
    for item in items:
        if "served" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.journey)


@pytest.fixture
def served(shared_server: Served) -> Served:
    """A server runs and is shared: use names of your own."""
    return shared_server
