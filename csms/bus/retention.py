"""Keeps the outbox within its bounds: age for what was delivered, number of rows for everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from csms.domain.ports import StorageUnavailable
from csms.storage.outbox import Outbox

log = structlog.get_logger()


async def keep_bounded(
    outbox: Outbox,
    *,
    retention: timedelta = timedelta(days=7),
    most: int = 10_000_000,
    every: float = 60.0,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Purge every `every` s until cancelled. A row takes some 170 bytes of disk, more with longer events."""
    while True:
        try:
            purged = await outbox.purge(clock() - retention, most)
        except StorageUnavailable:
            pass  # The storage says so itself; the next round tries again.
        except Exception:
            log.exception("outbox.not_purged")
        else:
            if purged:
                log.info("outbox.purged", rows=purged)
        await asyncio.sleep(every)
