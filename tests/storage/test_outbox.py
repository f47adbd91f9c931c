"""The outbox: order, positions, purging."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from csms.domain.events import SessionMetered, StationDisconnected
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.storage.database import Database
from csms.storage.outbox import Outbox
from csms.storage.tables import outbox as table
from csms.storage.tables import to_us
from tests.conftest import NOW

LONG_AGO = NOW - timedelta(days=30)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


async def tell(database: Database, identity: str, *energies: float, operator: str = "default") -> None:
    """One unit of work of a station, with as many events."""
    unit = Unit(Station(1, 1, operator, identity), NOW)
    unit.events.extend(SessionMetered(at=NOW, session=7, energy_wh=energy) for energy in energies)
    await database.writer.commit(unit)


async def fill(database: Database, rows: int, at=NOW) -> None:
    """Rows as if units had been committed at `at`."""
    row = {"at": at, "operator": "default", "station": "CS-1", "events": '[{"type":"x"}]'}
    await database.writer.run(lambda connection: connection.execute(sa.insert(table), [row] * rows) and None)


async def kept(database: Database) -> list[int]:
    async with database.reader.connect() as connection:
        return list((await connection.execute(sa.select(table.c.id).order_by(table.c.id))).scalars())


async def test_page_tells_what_was_committed_in_its_order(database: Database, outbox: Outbox) -> None:
    await tell(database, "CS-1", 1.0, 2.0)
    await tell(database, "CS/2 %ü", 3.0, operator="Ünion")
    first, second = await outbox.page(0, 10)
    assert (first.id, first.at_us, first.operator, first.station) == (1, to_us(NOW), "default", "CS-1")
    assert first.at == NOW
    assert [json.loads(bytes(event))["energy_wh"] for event in first.events] == [1.0, 2.0]
    assert (second.id, second.operator, second.station) == (2, "Ünion", "CS/2 %ü")


async def test_events_are_told_byte_for_byte(database: Database, outbox: Outbox) -> None:
    unit = Unit(Station(1, 1, "default", "CS-1"), NOW)
    unit.events += [StationDisconnected(at=NOW, reason='a "quote", \\ and \n ü ☃ \u2028'),
                    SessionMetered(at=NOW, session=1 << 53, energy_wh=0.1)]  # fmt: skip
    await database.writer.commit(unit)
    async with database.reader.connect() as connection:
        stored = (await connection.execute(sa.select(table.c.events))).scalar_one()
    [entry] = await outbox.page(0, 10)
    assert b"[" + b",".join(bytes(event) for event in entry.events) + b"]" == stored.encode()


async def test_page_goes_on_behind_a_position(database: Database, outbox: Outbox) -> None:
    await fill(database, 5)
    assert [entry.id for entry in await outbox.page(2, 2)] == [3, 4]
    assert await outbox.page(5, 2) == []
    assert await outbox.newest() == 5


async def test_page_of_an_empty_outbox_is_empty(outbox: Outbox) -> None:
    assert await outbox.page(0, 10) == []
    assert await outbox.newest() == 0


async def test_subscriber_starts_at_the_beginning(outbox: Outbox) -> None:
    assert await outbox.position("mqtt") == 0


async def test_confirmed_position_is_kept_and_never_goes_back(outbox: Outbox) -> None:
    await outbox.confirm("mqtt", 40)
    await outbox.confirm("mqtt", 30)
    await outbox.confirm("webhook", 3)
    assert await outbox.position("mqtt") == 40
    assert await outbox.position("webhook") == 3


async def test_forgotten_subscriber_starts_anew(outbox: Outbox) -> None:
    await outbox.confirm("mqtt", 40)
    await outbox.forget("mqtt")
    assert await outbox.position("mqtt") == 0


async def test_commit_wakes_all_who_wait(database: Database, outbox: Outbox) -> None:
    waiting = [asyncio.create_task(outbox.news.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    await tell(database, "CS-1", 1.0)
    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)
    assert not outbox.news.is_set()


async def test_unit_without_events_wakes_nobody(database: Database, outbox: Outbox) -> None:
    await tell(database, "CS-1")  # What was done before has woken whom it would.
    news = outbox.news
    await tell(database, "CS-1")
    await tell(database, "CS-1")
    assert not news.is_set()


async def test_events_of_a_job_wake_too(database: Database, outbox: Outbox) -> None:
    news = outbox.news
    await fill(database, 1)
    async with asyncio.timeout(1):
        await news.wait()


async def test_purge_deletes_what_is_old_and_confirmed_by_all(database: Database, outbox: Outbox) -> None:
    await fill(database, 6, LONG_AGO)
    await fill(database, 4, NOW)
    await outbox.confirm("mqtt", 9)
    await outbox.confirm("webhook", 4)
    assert await outbox.purge(NOW - timedelta(days=7), most=1000) == 4
    assert await kept(database) == [5, 6, 7, 8, 9, 10]
    await outbox.confirm("webhook", 9)
    assert await outbox.purge(NOW - timedelta(days=7), most=1000) == 2
    assert await kept(database) == [7, 8, 9, 10]


async def test_purge_waits_for_one_that_only_joined(database: Database, outbox: Outbox) -> None:
    await fill(database, 3, LONG_AGO)
    await outbox.confirm("mqtt", 0)
    assert await outbox.purge(NOW, most=1000) == 0


async def test_without_subscribers_age_alone_counts(database: Database, outbox: Outbox) -> None:
    await fill(database, 3, LONG_AGO)
    await fill(database, 2, NOW)
    assert await outbox.purge(NOW - timedelta(days=7), most=1000) == 3
    assert await kept(database) == [4, 5]


async def test_purge_of_an_empty_outbox_does_nothing(outbox: Outbox) -> None:
    assert await outbox.purge(NOW, most=1) == 0


async def test_beyond_the_cap_even_unconfirmed_rows_go_and_it_is_told(database: Database, outbox: Outbox) -> None:
    await fill(database, 10)
    await outbox.confirm("mqtt", 3)
    await outbox.confirm("webhook", 8)
    with capture_logs() as lines:
        assert await outbox.purge(LONG_AGO, most=4) == 6
    assert await kept(database) == [7, 8, 9, 10]
    [line] = [line for line in lines if line["event"] == "outbox.events_lost"]
    assert (line["subscriber"], line["rows"]) == ("mqtt", 3)
    assert line["remedy"]
    with capture_logs() as lines:
        await outbox.purge(LONG_AGO, most=4)
    assert lines == []


async def test_purge_goes_in_slices_between_which_others_commit(database: Database, outbox: Outbox) -> None:
    await fill(database, 1800, LONG_AGO)
    purge = asyncio.create_task(outbox.purge(NOW, most=10_000))
    committed_while_purging = 0
    while not purge.done():
        await tell(database, "CS-1", 1.0)
        committed_while_purging += 1
    assert purge.result() == 1800
    assert committed_while_purging >= 3


async def test_id_of_a_purged_row_is_never_used_again(database: Database, outbox: Outbox) -> None:
    await fill(database, 3, LONG_AGO)
    await outbox.purge(NOW, most=1000)
    assert await outbox.newest() == 3
    await tell(database, "CS-1", 1.0)
    assert await kept(database) == [4]
