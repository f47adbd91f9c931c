"""The whole system behind its HTTP application, without a socket; emptied before each test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa

from csms.app import System, open_system
from csms.domain.sessions import Session
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.settings import Settings
from csms.storage import admin
from csms.storage.database import open_database
from csms.storage.tables import metadata
from csms.web.access import Trusted
from tests.cluster.line import JoinedLine
from tests.conftest import NOW

ADMIN_KEY = "csms_a-key-for-tests-only"
PROBLEM = "application/problem+json"
_KEPT = ("operators", "counters", "audit")  # The audit log is only appended to.
_TABLES = [table.name for table in reversed(metadata.sorted_tables) if table.name not in _KEPT]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    path = shutil.copy(migrated, tmp_path_factory.mktemp("web") / "csms.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "csms.app.open_database", partial(open_database, synchronous="OFF")
        )  # Nothing waits for the disk.
        async with open_system(Settings(database_url=f"sqlite:///{path}", storage_patience=0)) as system:
            yield system


@pytest_asyncio.fixture(loop_scope="session")
async def system(opened: System) -> System:
    """A central system with its first operator and an admin key, and nothing else."""

    def empty(connection: sa.Connection) -> None:
        for table in _TABLES:
            connection.exec_driver_sql(f'DELETE FROM "{table}"')
        admin.put_key("admin", "admin", opened.vault.key_hash(ADMIN_KEY), NOW)(connection)

    opened.gateway.stations.clear()
    await opened.database.writer.run(empty)
    return opened


def client(app: Any, **options: Any) -> httpx.AsyncClient:
    """Server errors are answers here, as they are to a client."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(base_url="http://csms", transport=transport, **options)


@pytest_asyncio.fixture(loop_scope="session")
async def api(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever may open the control socket."""
    async with client(Trusted(system.api)) as http:
        yield http


@pytest_asyncio.fixture(loop_scope="session")
async def outside(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever reaches the HTTP port; without a key."""
    async with client(system.api) as http:
        yield http


def assert_problem(response: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    """A problem document (RFC 9457) whose detail holds all the words."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"] and problem["type"] == "about:blank"
    for word in words:
        assert word in problem["detail"]
    return problem


async def add_session(system: System, id: int, identity: str = "CS-1", **fields: Any) -> None:
    """A session on disk, of a station that is added when it is new."""
    operator = await system.database.writer.run(admin.ensure_operator("default"))
    await system.database.writer.run(admin.put_station(operator, identity, {}, NOW))
    async with system.database.reader.connect() as connection:
        found = await connection.exec_driver_sql("SELECT id FROM stations WHERE identity = ?", (identity,))
        station = Station(found.scalar_one(), operator, "default", identity)
    named = {"transaction_id": str(id), "start_key": f"k{id}", "version": "1.6", "started_at": NOW, "received_at": NOW}
    unit = Unit(station, NOW)
    unit.opened.append(Session(id=id, **named | fields))
    await system.database.writer.commit(unit)


async def connect(system: System, identity: str, line: JoinedLine) -> JoinedLine:
    """Let a station that was added be reached by `line`."""
    async with system.database.reader.connect() as connection:
        sql = "SELECT stations.id, operator_id FROM stations WHERE identity = ?"
        number, operator = (await connection.exec_driver_sql(sql, (identity,))).one()
    station = Station(number, operator, "default", identity)
    station.link = line
    system.gateway.stations[number] = station
    return line
