"""The servers under measurement: each a process on one core, whose CPU time and memory are read from /proc."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import asyncpg
import pytest

from benchmarks.stations import PASSWORD, BenchmarkError
from benchmarks.work import TOKEN
from csms.domain.credentials import Vault
from csms.domain.tokens import folded
from csms.storage.database import migrate
from tests.postgres import database as fresh
from tests.postgres import running

ROOT = Path(__file__).parent.parent
SERVER_CORE, CLIENT_CORE = 0, 1
_SECRET = "benchmarks-only-0123456789"
_TICKS = os.sysconf("SC_CLK_TCK")

# What differs from a server as it is installed; the table says so.
SETTINGS = {
    "CSMS_RATE_MESSAGES": "0",
    "CSMS_LOG_LEVEL": "warning",
    "CSMS_SECRET_KEY": _SECRET,
}


@dataclass
class Server:
    """A running server, reached by `port` and `path`."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    path: str
    database: Path | None = None
    http: int = 0

    def cpu(self) -> float:
        """CPU seconds of all its threads so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """Bytes of memory of its own: what it shares with others (code) left out."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        sizes = {name: int(size) for name, size, *_ in (line.replace(":", "").split() for line in lines[1:])}
        return (sizes["Private_Dirty"] + sizes["Private_Clean"]) * 1024

    def rows(self) -> dict[str, int]:
        """How many rows its database holds, by table."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                    for name in ("samples", "sessions", "connectors", "outbox")}  # fmt: skip


@contextmanager
def our_server(folder: Path, names: Iterable[str], root: Path = ROOT, **settings: str) -> Iterator[Server]:
    """`csms serve` of a checkout, on a database on disk that knows these stations, each with a password."""
    database = folder / "csms.db"
    _fill(database, names)
    with _serving(folder, f"sqlite:///{database}", root, settings) as server:
        server.database = database
        yield server


@asynccontextmanager
async def server_on_postgres(folder: Path, names: Iterable[str]) -> AsyncIterator[Server]:
    """The same on PostgreSQL, with its durable defaults; it works on the client's core."""
    try:
        with running() as postgres:
            url = await fresh(postgres)
            await _fill_postgres(url, names)
            with _serving(folder, url, ROOT, {}) as server:
                yield server
    except pytest.skip.Exception as reason:
        raise BenchmarkError(str(reason)) from None


@contextmanager
def _serving(folder: Path, database_url: str, root: Path, settings: dict[str, str]) -> Iterator[Server]:
    port, http = free_port(), free_port()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("CSMS_")}, **SETTINGS, **settings,
        "CSMS_DATABASE_URL": database_url, "CSMS_OCPP_PORT": str(port), "CSMS_HTTP_PORT": str(http),
    }  # fmt: skip
    with _process([sys.executable, "-m", "csms", "serve"], folder / "csms.log", environment, root) as process:
        await_port(process, port, folder / "csms.log")
        yield Server("csms", process, port, "/ocpp", http=http)


@contextmanager
def baseline_server(folder: Path) -> Iterator[Server]:
    """The yardstick: `ocpp` and `websockets`, stores nothing, checks the same password."""
    port, log = free_port(), folder / "baseline.log"
    command = [sys.executable, "-m", "benchmarks.baseline", "--port", str(port), "--password", PASSWORD]
    with _process(command, log, dict(os.environ)) as process:
        await_port(process, port, log)
        yield Server("baseline", process, port, "")


def pin(core: int) -> None:
    """Keep this process on one core, where the system can and has several."""
    if hasattr(os, "sched_setaffinity") and core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {core})


def allow_connections() -> None:
    """As many open files as the system allows; processes that are started inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _fill_postgres(url: str, names: Iterable[str]) -> None:
    vault = Vault(_SECRET.encode())
    connection = await asyncpg.connect(url)
    try:
        operator = await connection.fetchval("INSERT INTO operators (name) VALUES ('default') RETURNING id")
        await connection.execute(
            "INSERT INTO tokens (operator_id, folded, value, status, created_at) VALUES ($1, $2, $3, 'accepted', 0)",
            operator, folded(TOKEN), TOKEN,
        )  # fmt: skip
        await connection.executemany(
            "INSERT INTO stations (operator_id, identity, password_hash, created_at) VALUES ($1, $2, $3, 0)",
            [(operator, name, vault.station_hash("default", name, PASSWORD.encode())) for name in names],
        )
    finally:
        await connection.close()


def _fill(database: Path, names: Iterable[str]) -> None:
    migrate(database)
    vault = Vault(_SECRET.encode())
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO operators (id, name) VALUES (1, 'default')")
        connection.execute(
            "INSERT INTO tokens (operator_id, folded, value, status, created_at) VALUES (1, ?, ?, 'accepted', 0)",
            (folded(TOKEN), TOKEN),
        )
        connection.executemany(
            "INSERT INTO stations (operator_id, identity, password_hash, created_at) VALUES (1, ?, ?, 0)",
            ((name, vault.station_hash("default", name, PASSWORD.encode())) for name in names),
        )


@contextmanager
def _process(
    command: list[str], log: Path, environment: dict[str, str], root: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=output, stderr=output, preexec_fn=lambda: pin(SERVER_CORE)
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(process: subprocess.Popen[bytes], port: int, log: Path, within: float = 30.0) -> None:
    until = monotonic() + within
    while monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            sleep(0.05)
        else:
            return
    raise BenchmarkError(f"a server did not start:\n{log.read_text()}")


async def settled(server: Server) -> None:
    """Wait until the server has nothing left to do."""
    before = server.cpu()
    for _ in range(100):
        await asyncio.sleep(0.1)
        now = server.cpu()
        if now - before <= 0.01:
            return
        before = now
