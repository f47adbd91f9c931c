"""The outbox stays within its bounds, whatever happens on the way."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from structlog.testing import capture_logs

from csms.bus.retention import keep_bounded
from csms.domain.ports import StorageUnavailable
from tests.conftest import NOW


class Purged:
    """An outbox that answers each purge with the next outcome."""

    def __init__(self, *outcomes: int | Exception):
        self.outcomes = list(outcomes)
        self.asked: list[tuple[datetime, int]] = []

    async def purge(self, keep_after: datetime, most: int) -> int:
        self.asked.append((keep_after, most))
        outcome = self.outcomes.pop(0) if self.outcomes else 0
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def run_until(outbox: Purged, rounds: int) -> list[dict]:
    with capture_logs() as lines:
        task = asyncio.create_task(
            keep_bounded(outbox, retention=timedelta(days=2), most=9, every=0, clock=lambda: NOW)  # type: ignore[arg-type]
        )
        while len(outbox.asked) < rounds:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()
    return lines


async def test_purges_by_age_and_number() -> None:
    outbox = Purged(5)
    [line] = await run_until(outbox, 2)
    assert outbox.asked[0] == (NOW - timedelta(days=2), 9)
    assert (line["event"], line["rows"]) == ("outbox.purged", 5)


async def test_failure_is_told_and_tried_again() -> None:
    [line] = await run_until(Purged(ValueError("odd")), 3)
    assert line["event"] == "outbox.not_purged"


async def test_absent_storage_is_left_to_the_storage_to_tell() -> None:
    assert await run_until(Purged(StorageUnavailable("full")), 3) == []
