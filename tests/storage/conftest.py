"""Units of work to keep, and a place that is known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from csms.domain.sessions import Session
from csms.domain.stations import Connector, Station
from csms.domain.unit import Unit
from csms.storage import admin
from csms.storage.database import Database, open_database
from tests.conftest import NOW
from tests.postgres import cleared


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def session(id: int, **fields: Any) -> Session:
    named = {
        "transaction_id": str(id),
        "start_key": f"key-{id}",
        "version": "1.6",
        "started_at": NOW,
        "received_at": NOW,
    }
    return Session(id=id, **named | fields)


def unit_of(station: Station, *opened: Session, **parts: Any) -> Unit:
    unit = Unit(station, NOW)
    unit.opened += opened
    for name, value in parts.items():
        setattr(unit, name, value)
    return unit


def free(evse_id: int, **fields: Any) -> Connector:
    return Connector(**{"evse_id": evse_id, "connector_id": 1, "status": "available", "reported_at": NOW} | fields)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of the storage runs on both engines, but for modules that are about one: `ENGINES = ("sqlite",)`."""
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", getattr(metafunc.module, "ENGINES", ("sqlite", "postgres")), indirect=True)


@pytest.fixture
async def database(request: pytest.FixtureRequest, already_migrated: None) -> AsyncIterator[Database]:
    """An open database of each engine; without waiting for the disk."""
    if request.param == "postgres":
        url = await cleared(request.getfixturevalue("postgres"))
        opened = await open_database(url, patience=0.5)
    else:
        path = request.getfixturevalue("database_path")
        opened = await open_database(f"sqlite:///{path}", synchronous="OFF", patience=0.5)
    yield opened
    await opened.close()


@pytest.fixture
async def station(database: Database) -> Station:
    """Station 1 of operator 1, on disk."""
    operator_id = await database.writer.run(admin.ensure_operator("default"))
    await database.writer.run(admin.put_station(operator_id, "CS-1", {}, NOW))
    return Station(1, operator_id, "default", "CS-1")


@pytest.fixture
def rows(database: Database):
    """What another connection sees in the file."""

    async def rows(sql: str) -> list[tuple[Any, ...]]:
        async with database.reader.connect() as connection:
            return [tuple(row) for row in await connection.exec_driver_sql(sql)]

    return rows
