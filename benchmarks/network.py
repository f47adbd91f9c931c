"""A server for a large network: PostgreSQL, a broker, and as many workers as it needs, all on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from benchmarks.servers import ROOT, await_port, free_port
from benchmarks.stations import BenchmarkError
from tests.live.broker import PASSWORD, USER, Broker
from tests.postgres import Postgres

_WHOLE = 1_020_000
_SECRET = "benchmarks-only-0123456789"


@dataclass(frozen=True)
class Place:
    """Where everything is. `server`: the process whose children serve, too; `others`: database and broker."""

    url: str
    api: str
    server: int
    others: tuple[int, ...]
    environment: dict[str, str]
    broker_port: int
    broker_user: str = USER
    broker_password: str = PASSWORD


def network_file(folder: Path, stations: int) -> Path:
    """A network with a little more than so many stations."""
    file = folder / "network.ndjson"
    scale = max(0.0001, (stations + 13) / _WHOLE)
    _python("simulators", "network", "--scale", f"{scale:.8f}", "--out", str(file))
    return file


def imported(where: Place, file: Path) -> float:
    """Import the network; returns the seconds it took."""
    begin = monotonic()
    _python("csms", "station", "import", str(file), "--server", where.api, environment=where.environment)
    return monotonic() - begin


@contextmanager
def place(folder: Path, workers: int) -> Iterator[Place]:
    """A running server of so many workers; with one it is the embedded one, on SQLite."""
    with ExitStack() as stack:
        broker = Broker(folder)
        broker.start()
        stack.callback(broker.kill)
        others = [broker.pid]
        database = f"sqlite:///{folder / 'csms.db'}"
        if workers > 1:
            (folder / "postgres").mkdir()
            postgres = Postgres(folder / "postgres" / "data", f"max_connections={20 * workers + 50}")
            postgres.start()
            stack.callback(postgres.stop)
            others.append(postgres.pid)
            database = postgres.url()
        port, http = free_port(), free_port()
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CSMS_")},
            "CSMS_DATABASE_URL": database, "CSMS_MQTT_URL": broker.url, "CSMS_SECRET_KEY": _SECRET,
            "CSMS_ADMIN_KEY": _SECRET, "CSMS_KEY": _SECRET, "CSMS_OCPP_PORT": str(port), "CSMS_HTTP_PORT": str(http),
            "CSMS_LOG_LEVEL": "warning", "CSMS_PING_INTERVAL": "600",
        }  # fmt: skip
        log = folder / "csms.log"
        command = [sys.executable, "-m", "csms", "serve", *(["--workers", str(workers)] if workers > 1 else [])]
        with log.open("wb") as output:
            server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        stack.callback(_ended, server)
        await_port(server, port, log, 30.0 + 5.0 * workers)
        yield Place(
            f"ws://127.0.0.1:{port}/ocpp",
            f"http://127.0.0.1:{http}",
            server.pid,
            tuple(others),
            environment,
            broker.port,
        )


def _ended(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _python(module: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment, capture_output=True)
    if done.returncode:
        raise BenchmarkError(f"{module} {json.dumps(arguments)} failed: {done.stderr.decode()[-2000:]}")
