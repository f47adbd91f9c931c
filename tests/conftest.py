"""A central system on a real socket and a real database file, and a station to talk to it."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, closing, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from hypothesis import HealthCheck, settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import csms.blocks  # noqa: F401  Registers the handlers.
from csms.blocks.dispatch import Policy
from csms.domain.credentials import Vault
from csms.domain.tokens import Token
from csms.gateway.server import Gateway, Limits
from csms.storage import admin
from csms.storage import database as database_module
from csms.storage.database import Database, migrate, open_database
from csms.storage.memory import MemoryRecords
from csms.storage.records import Records, open_records
from tests.postgres import Postgres, running

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
KEY = b"a key for tests only"

settings.register_profile(
    "plain",
    max_examples=50,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("plain")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What opens a real database (all such tests begin with a migrated one) is no plain test."""
    for item in items:
        if {"migrated", "postgres"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.disk)


@pytest.fixture(scope="session", autouse=True)
def quiet_log() -> None:
    """Nothing is printed; `structlog.testing.capture_logs` sees everything."""
    structlog.configure(processors=[lambda logger, method, event: ""], logger_factory=structlog.ReturnLoggerFactory())


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "csms.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    return path


@pytest.fixture
def already_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a copy of `migrated` does not look for migrations again."""
    monkeypatch.setattr(database_module, "migrate", lambda path: None)


@pytest.fixture
def database_path(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated, tmp_path / "csms.db"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test process."""
    with running("fsync=off") as server:  # Its own durability is not what is tested with it.
        yield server


@pytest.fixture
async def database(database_path: Path, already_migrated: None) -> AsyncIterator[Database]:
    """An open database; without waiting for the disk."""
    opened = await open_database(f"sqlite:///{database_path}", synchronous="OFF", patience=0.5)
    yield opened
    await opened.close()


class Client:
    """A station's end: calls are answered by what the central system says."""

    def __init__(self, socket: ClientConnection):
        self.socket = socket
        self._ids = count(1)

    async def call(self, action: str, payload: dict[str, Any] | None = None) -> Any:
        """The payload of the answer; the whole frame when it is an error."""
        await self.send(action, payload)
        frame = await self.receive()
        return frame[2] if frame[0] == 3 else frame

    async def send(self, action: str, payload: dict[str, Any] | None = None, message_id: str | None = None) -> str:
        message_id = message_id or f"m{next(self._ids)}"
        await self.socket.send(json.dumps([2, message_id, action, payload or {}]))
        return message_id

    async def receive(self) -> list[Any]:
        async with asyncio.timeout(5):
            return json.loads(await self.socket.recv())

    async def closed(self) -> int:
        """Wait for the end of the conversation; its close code (1006: without a word)."""
        async with asyncio.timeout(5):
            await self.socket.wait_closed()
        return self.socket.close_code or 1006

    async def rest(self) -> list[list[Any]]:
        """What still comes until the conversation ends."""
        frames = []
        with suppress(ConnectionClosed):
            while True:
                frames.append(await self.receive())
        return frames

    async def boot(self) -> dict[str, Any]:
        if self.socket.subprotocol == "ocpp1.6":
            return await self.call("BootNotification", {"chargePointVendor": "Vendor", "chargePointModel": "Model"})
        about = {"reason": "PowerUp", "chargingStation": {"vendorName": "Vendor", "model": "Model"}}
        return await self.call("BootNotification", about)


class Server:
    """A gateway that listens, and what a test needs around it."""

    def __init__(self, gateway: Gateway, database: Database | None, stack: AsyncExitStack):
        self.gateway = gateway
        self.database = database
        self._stack = stack

    @property
    def records(self) -> Any:
        return self.gateway.records

    async def add_station(
        self, identity: str = "CS-1", *, password: bytes | None = None, operator: str = "default", **fields: Any
    ) -> None:
        if password is not None:
            fields["password_hash"] = self.gateway.vault.station_hash(operator, identity, password)
        if self.database is None:
            self.records.add_station(identity, operator=operator, **fields)
            return
        operator_id = await self.database.writer.run(admin.ensure_operator(operator))
        await self.database.writer.run(admin.put_station(operator_id, identity, fields, NOW))

    async def add_token(self, value: str, **fields: Any) -> None:
        if self.database is None:
            self.records.add_token(1, Token(value, **fields))
            return
        operator_id = await self.database.writer.run(admin.ensure_operator("default"))
        await self.database.writer.run(admin.put_token(operator_id, value, {"status": "accepted", **fields}, NOW))

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.gateway.port}/ocpp/{path}"

    async def connect(
        self, path: str = "CS-1", *, version: str | list[str] = "1.6", password: bytes | None = None, **options: Any
    ) -> Client:
        headers = dict(options.pop("headers", {}))
        if password is not None:
            credentials = path.rpartition("/")[2].encode() + b":" + password
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode()
        versions = [version] if isinstance(version, str) else version
        socket = await self._stack.enter_async_context(
            connect(
                self.url(path), subprotocols=[f"ocpp{name}" for name in versions] or None, compression=None,
                additional_headers=headers, ping_interval=None, close_timeout=1, **options,
            )
        )  # fmt: skip
        return Client(socket)

    async def raw(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare TCP connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        self._stack.callback(writer.close)
        writer.write(data)
        return reader, writer

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        assert self.database is not None
        async with self.database.reader.connect() as connection:
            return [tuple(row) for row in await connection.execute(sa.text(sql))]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let the loop turn until something the server does by itself has happened."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)


MakeServer = Callable[..., Any]


@pytest.fixture
async def make_server() -> AsyncIterator[MakeServer]:
    """Start a gateway on given records: `await make_server(records, database=None, limits=…)`."""
    async with AsyncExitStack() as stack:

        async def make(records: Records | MemoryRecords, database: Database | None = None, **options: Any) -> Server:
            options.setdefault("clock", lambda: NOW)
            options.setdefault("policy", Policy(random=lambda: 0.5))
            options.setdefault("limits", Limits(drain=2.0))
            gateway = Gateway(records=records, vault=Vault(KEY), **options)
            await gateway.start("127.0.0.1", 0)
            stack.push_async_callback(stopped, gateway)
            return Server(gateway, database, stack)

        yield make


async def stopped(gateway: Gateway) -> None:
    if not gateway.stopping:
        await gateway.stop()


@pytest.fixture
async def server(database: Database, make_server: MakeServer) -> Server:
    """A central system with its database file; station CS-1 and token TAG exist."""
    started = await make_server(await open_records(database, NOW), database)
    await started.add_station()
    await started.add_token("TAG")
    return started


@pytest.fixture
async def quick(make_server: MakeServer) -> Server:
    """The same over memory, where commits can be held and made to fail (`server.records`)."""
    started = await make_server(MemoryRecords())
    await started.add_station()
    await started.add_token("TAG")
    return started
