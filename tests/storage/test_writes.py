"""What says nothing new is answered and not written: no transaction at all, on either engine, counted by the engine."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing

import pytest

from csms.storage.database import Database
from tests.conftest import Client, Server

Count = Callable[[], Awaitable[int]]

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "2026-05-04T11:59:00Z"}
STATUS_2X = {"evseId": 1, "connectorId": 1, "connectorStatus": "Available", "timestamp": "2026-05-04T11:59:00Z"}


@pytest.fixture
def commits(database: Database, rows) -> Iterator[Count]:
    """A number that grows with each transaction that wrote anything."""
    if database.reader.dialect.name == "postgresql":

        async def counted() -> int:  # Each transaction of a writer counts up its own row (`csms.storage.fate`).
            return (await rows("SELECT sum(commits)::bigint FROM writers"))[0][0]

        yield counted
        return
    with closing(sqlite3.connect(database.path)) as reader:

        async def seen() -> int:  # Changes when another connection has changed the file.
            return reader.execute("PRAGMA data_version").fetchone()[0]

        yield seen


async def talked(server: Server, version: str) -> tuple[Client, dict[str, dict]]:
    """A station that said all it has to say, and what that was."""
    client = await server.connect(version=version)
    boot = {"chargePointVendor": "Vendor", "chargePointModel": "Model", "firmwareVersion": "1.0"}
    about = {"vendorName": "Vendor", "model": "Model", "firmwareVersion": "1.0"}
    said = {
        "BootNotification": boot if version == "1.6" else {"reason": "Triggered", "chargingStation": about},
        "StatusNotification": STATUS if version == "1.6" else STATUS_2X,
        "Heartbeat": {},
    }
    for action, payload in said.items():
        assert isinstance(await client.call(action, payload), dict), action
    return client, said


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_what_says_nothing_new_is_not_written(server: Server, commits: Count, version: str):
    client, said = await talked(server, version)
    before = await commits()
    later = said["StatusNotification"] | {"timestamp": "2026-05-04T11:59:30Z"}
    for _ in range(3):
        for action, payload in (*said.items(), ("StatusNotification", later)):
            assert isinstance(await client.call(action, payload), dict), action
            assert await commits() == before, action


async def test_what_is_new_is_one_transaction(server: Server, commits: Count, rows):
    client, said = await talked(server, "1.6")
    before = await commits()
    await client.call("StatusNotification", STATUS | {"status": "Faulted", "errorCode": "GroundFailure"})
    assert await commits() == before + 1
    await client.call("BootNotification", said["BootNotification"] | {"firmwareVersion": "1.1"})
    assert await commits() == before + 2
    assert await rows("SELECT status, error_code FROM status_history WHERE evse_id = 1 ORDER BY id") == [
        ("available", None), ("faulted", "GroundFailure"),
    ]  # fmt: skip


async def test_boot_over_a_new_connection_is_news(server: Server, commits: Count, rows):
    """It may have restarted: what was asked of it before may be gone."""
    await talked(server, "1.6")
    await talked(server, "1.6")
    told = "".join(events for (events,) in await rows("SELECT events FROM outbox"))
    assert told.count("station.booted") == 2
