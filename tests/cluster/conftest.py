"""A desk over a real database file, shared by its tests: each has a station of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Collection
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from csms.cluster.desk import Desk, Target
from csms.domain.asked import Change
from csms.domain.commands import Command
from csms.domain.ports import StorageUnavailable
from csms.ocpp.catalogue import Version
from csms.storage import admin
from csms.storage.commands import CommandLog
from csms.storage.database import Database, open_database
from tests.cluster.line import JoinedLine
from tests.conftest import NOW

_numbers = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    path = shutil.copy(migrated, tmp_path_factory.mktemp("desk") / "csms.db")
    opened = await open_database(f"sqlite:///{path}", synchronous="OFF", patience=0.1)
    yield opened
    await opened.close()


class Log(CommandLog):
    """The real record, which a test may let fail or interrupt."""

    def __init__(self, database: Database):
        super().__init__(database)
        self.failing: str | None = None
        self.after_opening: Callable[[], Any] = lambda: None

    async def opened(self, command: Command, operator_id: int, station_id: int, *rest: Any) -> int | None:
        if self.failing == "opened":
            raise StorageUnavailable("disk full")
        number = await super().opened(command, operator_id, station_id, *rest)
        self.after_opening()
        return number

    async def settled(self, command: Command, station_id: int, changes: Collection[Change] = ()) -> None:
        if self.failing == "settled":
            raise StorageUnavailable("disk full")
        await super().settled(command, station_id, changes)


class Office:
    """A desk, the lines it can use, and what is on record."""

    def __init__(self, database: Database, target: Target):
        self.database = database
        self.target = target
        self.log = Log(database)
        self.lines: dict[int, JoinedLine] = {}
        self.desk = Desk(
            self.lines.get,
            self.log,
            lambda: next(_numbers),
            lambda: NOW,
            30.0,
            lambda *told: b"hash of " + told[2],
            boot_grace=0.2,
        )

    def connect(self, line: JoinedLine) -> JoinedLine:
        self.lines[self.target.id] = line
        return line

    def meanwhile(self, happens: Callable[[], Any]) -> None:
        """Let something happen between the record of a command and its sending."""
        self.log.after_opening = happens

    def fail(self, step: str) -> None:
        self.log.failing = step

    async def outbox(self) -> list[tuple[str, str]]:
        """(operator, events) of this station, in order."""
        sql = "SELECT operator, events FROM outbox WHERE station = ? ORDER BY id"
        async with self.database.reader.connect() as connection:
            found = await connection.exec_driver_sql(sql, (self.target.identity,))
            return [(row[0], row[1]) for row in found]


@pytest_asyncio.fixture(loop_scope="module")
async def office(database: Database) -> Office:
    identity = f"CS-{next(_numbers)}"
    operator = await database.writer.run(admin.ensure_operator("default"))
    await database.writer.run(admin.put_station(operator, identity, {}, NOW))
    async with database.reader.connect() as connection:
        found = await connection.exec_driver_sql("SELECT id FROM stations WHERE identity = ?", (identity,))
        number = found.scalar_one()
    return Office(database, Target(number, operator, "default", identity, Version.V201))
