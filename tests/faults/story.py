"""A short story of one station, told again and again over a disk of which another call fails each time.

Runs under the disk (disk.c is preloaded): `story.py DIRECTORY FIRST STRIDE CALLS`. A line of JSON for each run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

import csms.blocks  # noqa: F401  Registers the handlers.
from csms import logs
from csms.blocks.dispatch import TRANSACTION_ACTIONS
from csms.domain.credentials import Vault
from csms.domain.ports import StorageUnavailable
from csms.gateway.server import Gateway, Limits
from csms.storage import admin, sqlite
from csms.storage.database import Database, open_database
from csms.storage.place import DatabaseError
from csms.storage.records import open_records
from tests.conftest import KEY, NOW, Client
from tests.faults.disk import Disk

FOR_EVER = 1 << 40
PATIENCE = 0.15  # s
TRIES = 40  # More than calls that fail in a row (once or a while).
AT = "2026-05-04T12:00:00Z"
VALUES = [{"timestamp": AT, "sampledValue": [{"value": "100"}]}]
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": AT}


class GivenUp(Exception):
    """The disk fails for good: nothing more can be told."""


class Story:
    """One telling. `kept` is what was acknowledged; `problems` is what must never happen."""

    def __init__(self, path: Path, *, for_ever: bool):
        self._url = f"sqlite:///{path}"
        self._tries = 3 if for_ever else TRIES
        self._client: Client | None = None
        self.kept: dict[str, Any] = {}
        self.problems: list[str] = []

    async def told(self) -> None:
        for _ in range(self._tries):
            try:
                async with self._running() as (gateway, database):
                    await self._tell(gateway, database)
                    return
            except (DatabaseError, StorageUnavailable):  # Not started: the operator reads why, and starts it again.
                continue
            except GivenUp:
                return

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[tuple[Gateway, Database]]:
        database = await open_database(self._url, patience=PATIENCE)
        try:
            records = await open_records(database, NOW)
            gateway = Gateway(records=records, vault=Vault(KEY), clock=lambda: NOW, limits=Limits(drain=2.0))
            await gateway.start("127.0.0.1", 0)
            try:
                yield gateway, database
            finally:
                if self._client is not None:
                    await self._client.socket.close()
                await gateway.stop()
        finally:
            await database.close()

    async def _tell(self, gateway: Gateway, database: Database) -> None:
        await self._say(gateway, "BootNotification", BOOT)
        await self._say(gateway, "StatusNotification", STATUS)
        self.kept["start"] = (await self._say(gateway, "StartTransaction", START))["transactionId"]
        transaction = {"transactionId": self.kept["start"]}
        await self._say(gateway, "MeterValues", {"connectorId": 1, "meterValue": VALUES, **transaction})
        self.kept["meter"] = True
        await self._block_token(database)
        await self._say(gateway, "StopTransaction", {"meterStop": 200, "timestamp": AT, **transaction})
        self.kept["stop"] = True

    async def _block_token(self, database: Database) -> None:
        for _ in range(self._tries):
            try:
                await database.writer.run(admin.put_token(1, "TAG", {"status": "blocked"}, NOW))
                self.kept["token"] = True
                return
            except StorageUnavailable:
                await asyncio.sleep(0.01)
        raise GivenUp

    async def _say(self, gateway: Gateway, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """As a station does: until it is answered, over new connections where it must."""
        for _ in range(self._tries):
            try:
                if self._client is None:
                    url = f"ws://127.0.0.1:{gateway.port}/ocpp/CS-1"
                    self._client = Client(await connect(url, subprotocols=["ocpp1.6"], ping_interval=None))
                answer = await self._client.call(action, payload)
            except InvalidHandshake:
                await asyncio.sleep(0.05)
            except ConnectionClosed as closed:
                if closed.rcvd is None or closed.rcvd.code not in (1012, 1013):
                    self.problems.append(f"{action}: closed with {closed}")
                self._client = None
            except (TimeoutError, OSError) as error:
                self.problems.append(f"{action}: {type(error).__name__} {error}")
                self._client = None
            else:
                if isinstance(answer, dict):
                    return answer
                if action in TRANSACTION_ACTIONS:
                    self.problems.append(f"{action}: answered with {answer}")
        raise GivenUp

    def check(self, path: Path) -> None:
        """After a restart: what was acknowledged is there, once."""
        with contextlib.closing(sqlite3.connect(path)) as database:
            one = lambda sql: database.execute(sql).fetchone()[0]  # noqa: E731
            facts = {
                "start": "SELECT count(*) FROM sessions WHERE transaction_id = '{}'",
                "meter": "SELECT count(*) FROM samples WHERE register_wh = 100",
                "token": "SELECT count(*) FROM tokens WHERE status = 'blocked'",
                "stop": "SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL AND energy_wh = 200",
            }
            for name, value in self.kept.items():
                if one(facts[name].format(value)) != 1:
                    self.problems.append(f"{name} was acknowledged and is not there")
            if one("SELECT count(*) FROM sessions") > 1:
                self.problems.append("the session is there twice")
            if one("PRAGMA integrity_check") != "ok":
                self.problems.append("the database is damaged")


def prepare(path: Path, template: Path, disk: Disk) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(template, path)
    disk.keep_all()


def run(directory: Path, at: int, calls: int) -> dict[str, Any]:
    path, disk = directory / "csms.db", Disk(directory, directory / "csms.db")
    with disk.idle():
        prepare(path, directory / "template.db", disk)
    story = Story(path, for_ever=calls == FOR_EVER)
    disk.fail(at, calls)
    asyncio.run(story.told())
    reached, failed = disk.calls, disk.failed
    disk.fail(0)
    with disk.idle():
        disk.lose_power()
        story.check(path)
    if failed == 0 and "stop" not in story.kept:
        story.problems.append("it was not told to its end, though nothing failed")
    if calls < FOR_EVER and "stop" not in story.kept:
        story.problems.append(f"it did not recover: {sorted(story.kept)}")
    return {"at": at, "calls": reached, "failed": failed, "kept": len(story.kept), "problems": story.problems}


def main() -> None:
    directory, first, stride, calls = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    logs.configure("error", "json")
    sqlite._BUSY, sqlite._PROBE = 0.1, 0.05
    at = first
    while True:
        told = run(directory, at, calls)
        print(json.dumps(told), flush=True)
        if told["failed"] == 0:
            return
        at += stride


if __name__ == "__main__":
    main()
