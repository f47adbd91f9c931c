"""Pages of the database are damaged, before the start and under way: it is said, and nothing false is (D7)."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.conftest import Client
from tests.faults.processes import FaultyServer
from tests.gateway.test_turns import START
from tests.journeys.processes import run_module

PAGE = 4096


def checkpoint(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def damage(path: Path, table: str) -> None:
    """Overwrite the root page of the table and of its indexes, as a failing disk does."""
    with closing(sqlite3.connect(path)) as database:
        pages = database.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = ?", [table]).fetchall()
    with path.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * PAGE)
            file.write(b"\xde\xad" * (PAGE // 2))


async def station(server: FaultyServer) -> Client:
    return Client(await connect(f"{server.url}/CS-1", subprotocols=["ocpp1.6"], ping_interval=None))


async def test_D7_damaged_database_is_not_served_from(make_server) -> None:
    server = await make_server()
    await (await station(server)).boot()
    await server.stop()
    damage(server.path, "sessions")
    told = await run_module("csms", "serve", env=server.environment, accept=(1,), errors=True)
    assert "damaged" in told or "malformed" in told
    assert "Restore it from a backup" in told and "Traceback" not in told


async def test_D7_database_damaged_while_it_serves(make_server) -> None:
    """No answer to what cannot be kept; what is sound goes on; the operator is told what to do."""
    server = await make_server(storage_patience=2)
    client = await station(server)
    await client.boot()
    await server.kill()
    checkpoint(server.path)
    await server.start()
    client = await station(server)
    await client.boot()
    damage(server.path, "sessions")
    assert "currentTime" in await client.call("Heartbeat")
    await client.send("StartTransaction", START)
    async with asyncio.timeout(30):  # Its deadline comes five seconds after the storage's patience.
        await client.socket.wait_closed()
    assert await client.rest() == []
    assert await client.closed() == 1013
    with pytest.raises(InvalidStatus) as refused:
        await station(server)
    assert refused.value.response.status_code == 503, "its open sessions cannot be read"
    assert server.running and await server.health("live") == 200
    told = server.events("storage.failing") + server.events("storage.unreadable")
    assert told and "Restore it from a backup" in told[0]["remedy"]
