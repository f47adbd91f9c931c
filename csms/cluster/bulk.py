"""Commands to many stations: begun at a bounded pace, carried on after a restart, each station asked at most once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
import structlog

from csms.blocks.verbs import Unsayable
from csms.cluster.desk import Desk, Taken, Target
from csms.domain.bulk import Asked
from csms.domain.ports import StorageUnavailable
from csms.ocpp.catalogue import Version
from csms.storage.bulk import BulkLog
from csms.storage.paging import Row

log = structlog.get_logger()

# Makes what is asked of a station: (action, payload); raises `Unsayable` where that cannot be.
Make = Callable[[Target, Asked, bool], Awaitable[tuple[str, bytes]]]

_COMING_BACK = timedelta(minutes=2)
_LOOK_EVERY = 2.0  # s, for what other nodes were told to do.
_LOOK_AGAIN = 1.0  # s, for stations that are not connected yet.
_PATIENCE = 5.0  # s, where nothing can be stored.


class Bulk:
    """Carries bulk commands out; each has a task here while it runs. Of several nodes one does, at the pace asked for."""

    def __init__(self, desk: Desk, store: BulkLog, make: Make, clock: Callable[[], datetime]):
        self._desk = desk
        self._store = store
        self._make = make
        self._clock = clock
        self._tasks: dict[int, asyncio.Task] = {}
        self.leads: Callable[[], bool] = lambda: True

    async def run(self) -> None:
        """Carry on with what others began, for as long as this is the one that does; until cancelled."""
        began = self._clock()
        try:
            while True:
                try:
                    await self._look(began)
                except (StorageUnavailable, sa.exc.SQLAlchemyError, OSError) as error:
                    log.warning("bulk.not_read", error=str(error))
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            await self.close()

    async def _look(self, began: datetime) -> None:
        """What was there before this run is given time: its stations have to come back."""
        for id, created_at, asked in await self._store.running():
            if id not in self._tasks:
                until = asked.until if created_at >= began else max(asked.until, began + _COMING_BACK)
                self._start(id, msgspec.structs.replace(asked, until=until))

    def begin(self, id: int, asked: Asked) -> None:
        """Begin at once, where this node does; else the one that does finds it soon."""
        if self.leads():
            self._start(id, asked)

    def _start(self, id: int, asked: Asked) -> None:
        task = self._tasks[id] = asyncio.create_task(self._carry_out(id, asked), name=f"bulk-{id}")
        task.add_done_callback(lambda _: self._tasks.pop(id, None))

    async def cancel(self, id: int) -> bool:
        """Nobody else is asked; who was asked may still answer. False: it had ended before."""
        return await self._store.end(id, "cancelled", self._clock())

    async def close(self) -> None:
        """What was not begun is carried on by the next run."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=10)

    async def _carry_out(self, id: int, asked: Asked) -> None:
        while True:
            try:
                async with asyncio.TaskGroup() as under_way:
                    await self._all(id, asked, under_way)
                if await self._store.end(id, "done", self._clock()):
                    log.info("bulk.done", bulk=id)
                return
            except* StorageUnavailable as errors:
                log.warning("bulk.waits", bulk=id, error=str(errors.exceptions[0]))
            await asyncio.sleep(_PATIENCE)

    async def _all(self, id: int, asked: Asked, under_way: asyncio.TaskGroup) -> None:
        """Begin with everybody who is there, at the pace that was asked for; with who is away when it is time."""
        busy: dict[int, asyncio.Task] = {}
        while True:
            waits = self._clock() < asked.until
            most = max(1, asked.concurrency - len(busy))
            rows = await self._store.waiting(id, most=most, but=list(busy), online=waits)
            for row in rows:
                while len(busy) >= asked.concurrency:
                    await asyncio.wait(busy.values(), return_when=asyncio.FIRST_COMPLETED)
                busy[row["number"]] = task = under_way.create_task(self._one(id, asked, row))
                task.add_done_callback(lambda _, number=row["number"]: busy.pop(number, None))
                await asyncio.sleep(1 / asked.rate)
            if rows:
                continue
            if busy:
                await asyncio.wait(busy.values(), timeout=_LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
            elif not waits or not await self._store.waiting(id, most=1, but=(), online=False):
                return
            else:
                await asyncio.sleep(_LOOK_AGAIN)

    async def _one(self, id: int, asked: Asked, row: Row) -> None:
        number, version = row["number"], Version(row["version"]) if row["version"] else Version.V16
        target = Target(number, row["operator_id"], row["operator"], row["id"], version)
        try:
            action, payload = await self._make(target, asked, row["connected_at"] is not None)
            await self._desk.ask_raw(target, action, payload, claim=self._store.claim(id, number))
        except Unsayable as error:
            await self._store.refuse(id, number, error.detail)
        except Taken:  # It was cancelled, or somebody else carries it out, too.
            pass
        except StorageUnavailable:
            raise
        except Exception:
            log.exception("bulk.failed", bulk=id, operator=target.operator, station=target.identity)
            await self._store.refuse(id, number, "This failed by a mistake of the server; its log tells more.")
