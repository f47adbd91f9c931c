"""The feed: pages in order, without polling, with ids that stay."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from csms.bus.feed import enveloped, follow
from csms.domain.events import AnyEvent, StationDisconnected
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.storage.database import Database
from csms.storage.outbox import Entry, Outbox
from tests.conftest import NOW


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


async def tell(database: Database, *reasons: str) -> None:
    for reason in reasons:
        unit = Unit(Station(1, 1, "default", "CS-1"), NOW)
        unit.events.append(StationDisconnected(at=NOW, reason=reason))
        await database.writer.commit(unit)


def entry(id: int, *events: str, operator: str = "default", station: str = "CS-1") -> Entry:
    return Entry(id, 0, operator, station, [msgspec.Raw(event.encode()) for event in events])


async def test_feed_pages_through_what_is_there(database: Database, outbox: Outbox) -> None:
    await tell(database, *"abcde")
    pages = follow(outbox, 1, most=2, linger=0)
    assert [[e.id for e in await anext(pages)] for _ in range(2)] == [[2, 3], [4, 5]]
    await pages.aclose()


async def test_feed_wakes_with_the_commit_long_before_it_polls(database: Database, outbox: Outbox) -> None:
    pages = follow(outbox, 0, linger=0, poll=60)
    waiting = asyncio.create_task(anext(pages))
    await asyncio.sleep(0.02)
    await tell(database, "a")
    async with asyncio.timeout(2):
        [found] = await waiting
    assert found.id == 1
    await pages.aclose()


async def test_feed_polls_in_case_nobody_wakes_it(database: Database, outbox: Outbox) -> None:
    database.writer.on_commit = None
    pages = follow(outbox, 0, linger=0, poll=0.02)
    waiting = asyncio.create_task(anext(pages))
    await asyncio.sleep(0.01)
    await tell(database, "a")
    async with asyncio.timeout(2):
        await waiting
    await pages.aclose()


async def test_commits_of_a_short_while_come_together(database: Database, outbox: Outbox) -> None:
    pages = follow(outbox, 0, linger=0.1)
    await tell(database, "a")
    assert len(await anext(pages)) == 1
    following = asyncio.create_task(anext(pages))
    await tell(database, *"bcd")
    assert [e.id for e in await following] == [2, 3, 4]
    await pages.aclose()


async def test_several_follow_one_outbox(database: Database, outbox: Outbox) -> None:
    feeds = [follow(outbox, 0, linger=0, poll=60) for _ in range(2)]
    waiting = [asyncio.create_task(anext(feed)) for feed in feeds]
    await asyncio.sleep(0.02)
    await tell(database, "a")
    async with asyncio.timeout(2):
        assert [[e.id for e in await page] for page in waiting] == [[1], [1]]
    for feed in feeds:
        await feed.aclose()


def test_envelope_stands_in_front_of_the_event() -> None:
    first, second = enveloped(entry(12, '{"type":"a","x":1}', '{"type":"b"}', operator='ä"', station="S/1"))
    assert json.loads(first) == {"event_id": "12-0", "operator": 'ä"', "station": "S/1", "type": "a", "x": 1}
    assert second.endswith(b',"type":"b"}')
    assert json.loads(second)["event_id"] == "12-1"


def test_no_event_has_a_field_of_the_envelope() -> None:
    for event in AnyEvent.__args__:
        assert not {"event_id", "operator", "station"} & set(event.__struct_encode_fields__)
