"""Keeps what was recorded within its bounds: partitions made ahead and dropped, readings thinned, logs and commands forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from csms.domain.ports import StorageUnavailable
from csms.storage.commands import end_lost
from csms.storage.database import Database
from csms.storage.history import file_changes
from csms.storage.partitions import drop_oldest, forget_strays, make_ahead
from csms.storage.tables import commands, samples, station_log, status_archive, unmatched
from csms.storage.thinning import thin

_SLICE = 500  # Rows deleted at a time: stations wait for the same writer.
_BREATH = 0.01  # s between slices
_EVERY = 3600.0  # s
_LONGEST_WAIT = timedelta(days=1, minutes=30)  # That a command is under way: a day in its queue, then its answer.
_SOON = 60.0  # s until it is tried again where it failed.

log = structlog.get_logger()


@dataclass(frozen=True)
class Keep:
    """How long what is kept. `thinned` zero: readings are never thinned."""

    samples: timedelta = timedelta(days=400)
    samples_full: timedelta = timedelta(days=7)
    thinned: timedelta = timedelta(minutes=5)
    status: timedelta = timedelta(days=400)
    log: timedelta = timedelta(days=400)
    commands: timedelta = timedelta(days=400)


@asynccontextmanager
async def kept_up(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Upkeep goes on for as long as this lasts."""
    task = asyncio.create_task(work, name="upkeep")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class Upkeep:
    """For one node at a time; what it did not come to it does the next time."""

    def __init__(self, database: Database, keep: Keep, clock: Callable[[], datetime]):
        self._database = database
        self._keep = keep
        self._clock = clock
        self._partitioned = database.reader.dialect.name == "postgresql"

    async def run(self, every: float = _EVERY) -> None:
        """At once and every so many s, until cancelled."""
        while True:
            pause = every
            try:
                done = await self.once()
            except (StorageUnavailable, sa.exc.DBAPIError, OSError) as error:
                log.warning("upkeep.put_off", error=str(getattr(error, "orig", None) or error))
                pause = min(every, _SOON)
            except Exception:
                log.exception("upkeep.failed")
            else:
                if any(done.values()):
                    log.info("upkeep.done", **done)
            await asyncio.sleep(pause)

    async def once(self) -> Counter[str]:
        """How many partitions were made and dropped, how many rows of what were deleted."""
        now, keep, done = self._clock(), self._keep, Counter[str]()
        if self._partitioned:
            for table, kept in (("samples", keep.samples), ("status_changes", keep.status)):
                await self._partition(table, now, now - kept, done)
        else:
            done["samples"] = await self._forget(samples, samples.c.received_at, now - keep.samples)
            done["status_filed"] = await self._repeated(file_changes)
            done["status"] = await self._forget(status_archive, status_archive.c.received_at, now - keep.status)
        if keep.thinned:
            done["samples_thinned"] = await thin(self._database, now - keep.samples_full, keep.thinned)
        done["station_log"] = await self._forget(station_log, station_log.c.received_at, now - keep.log)
        done["unmatched"] = await self._forget(unmatched, unmatched.c.received_at, now - keep.log)
        done["commands_lost"] = await self._repeated(lambda each, most: end_lost(each, now - _LONGEST_WAIT, now, most))
        done["commands"] = await self._forget(commands, commands.c.created_at, now - keep.commands)
        return done

    async def _partition(self, table: str, now: datetime, before: datetime, done: Counter[str]) -> None:
        """Make partitions of a table by `received_at`, and drop those of before."""
        done["partitions_made"] += await self._database.upkeep(
            lambda connection: make_ahead(connection, table, "received_at", now)
        )
        while await self._database.upkeep(lambda connection: drop_oldest(connection, table, before)):
            done["partitions_dropped"] += 1
        done["strays"] += await self._repeated(
            lambda connection, most: forget_strays(connection, table, "received_at", before, most)
        )

    async def _forget(self, table: sa.Table, at: sa.Column, before: datetime) -> int:
        """Delete from the oldest end, which ids are in the order of, for as long as it is old."""
        oldest = sa.select(table.c.id).order_by(table.c.id).limit(_SLICE)
        query = sa.delete(table).where(table.c.id.in_(oldest.scalar_subquery()), at < before)
        return await self._repeated(lambda connection, _most: connection.execute(query).rowcount)

    async def _repeated(self, job: Callable[[sa.Connection, int], int]) -> int:
        """Do something to so many rows at a time, until there are no more."""
        altogether = 0
        while True:
            found = await self._database.upkeep(lambda connection: job(connection, _SLICE))
            altogether += found
            if found < _SLICE:
                return altogether
            await asyncio.sleep(_BREATH)
