"""Server-sent events: what readers get, where they resume, and what becomes of slow ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from csms.bus.stream import BadPlace, NoStream, Place, Stream, StreamOptions
from csms.domain.events import EventFilter, SessionMetered, StationDisconnected, types_of
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.storage.database import Database
from csms.storage.outbox import Outbox
from tests.conftest import NOW

ALL = EventFilter()
QUICK = StreamOptions(linger=0.005, heartbeat=60)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
async def stream(outbox: Outbox) -> AsyncIterator[Stream]:
    made = Stream(outbox, QUICK)
    made.start()
    yield made
    await made.stop()


async def tell(database: Database, *reasons: str, station: str = "CS-1", operator: str = "default") -> None:
    for reason in reasons:
        unit = Unit(Station(1, 1, operator, station), NOW)
        unit.events.append(StationDisconnected(at=NOW, reason=reason))
        await database.writer.commit(unit)


class Reading:
    """A reader that parses what it gets as WHATWG's event stream format says."""

    def __init__(self, chunks: AsyncIterator[bytes]):
        self.chunks = chunks
        self.last_id = ""
        self.events: list[dict[str, Any]] = []
        self.comments = 0

    @property
    def reasons(self) -> list[str]:
        return [event.get("reason") for event in self.events]

    async def until(self, count: int) -> list[str]:
        """Read until there are so many events in all; their reasons."""
        async with asyncio.timeout(5):
            while len(self.events) < count:
                self._take(await anext(self.chunks))
        return self.reasons

    async def joined(self) -> Reading:
        """Read until it is told where it is: from then on it gets what happens."""
        async with asyncio.timeout(5):
            while not self.last_id or "-" in self.last_id:
                self._take(await anext(self.chunks))
        return self

    async def end(self) -> None:
        async with asyncio.timeout(5):
            async for chunk in self.chunks:
                self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        for block in chunk.decode().split("\n\n"):
            lines = [line.partition(":") for line in block.splitlines()]
            fields = {name: value.removeprefix(" ") for name, _, value in lines if name}
            self.comments += sum(not name for name, _, _ in lines)
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                event = json.loads(fields["data"])
                assert event["type"] == fields["event"]
                assert event.get("event_id", fields.get("id")) == fields.get("id")
                self.events.append(event)


async def reading(stream: Stream, wanted: EventFilter = ALL, after: str | None = None, **options: Any) -> Reading:
    return Reading(await stream.open(wanted, after, **options))


async def test_reader_gets_what_happens_from_now_on(database: Database, stream: Stream) -> None:
    await tell(database, "before")
    reader = await (await reading(stream)).joined()
    await tell(database, "a", "b")
    assert await reader.until(2) == ["a", "b"]
    assert [event["event_id"] for event in reader.events] == ["2-0", "3-0"]


async def test_reader_resumes_after_the_last_event_it_knows(database: Database, stream: Stream) -> None:
    await tell(database, *"abcd")
    assert await (await reading(stream, after="2-0")).until(2) == ["c", "d"]
    assert await (await reading(stream, after="2")).until(2) == ["c", "d"]
    assert await (await reading(stream, after="0")).until(4) == ["a", "b", "c", "d"]


async def test_reader_resumes_between_the_events_of_one_commit(database: Database, stream: Stream) -> None:
    unit = Unit(Station(1, 1, "default", "CS-1"), NOW)
    unit.events += [SessionMetered(at=NOW, session=1, energy_wh=wh) for wh in (1.0, 2.0, 3.0)]
    await database.writer.commit(unit)
    for known, left in (("1-0", [2.0, 3.0]), ("1-1", [3.0]), ("0", [1.0, 2.0, 3.0])):
        reader = await reading(stream, after=known)
        await reader.until(len(left))
        assert [event["energy_wh"] for event in reader.events] == left


async def test_nothing_is_lost_or_doubled_between_catching_up_and_joining(database: Database, outbox: Outbox) -> None:
    stream = Stream(outbox, StreamOptions(linger=0, page=3))
    stream.start()
    told = [str(number) for number in range(300)]
    writing = asyncio.create_task(tell(database, *told))
    readers = []
    for after in range(0, 60, 10):
        while (await outbox.bounds())[1] <= after:
            await asyncio.sleep(0)
        readers.append(await reading(stream, after=str(after)))
    found = await asyncio.gather(*(reader.until(300 - 10 * number) for number, reader in enumerate(readers)))
    await writing
    assert found == [told[10 * number :] for number in range(6)]
    await stream.stop()


async def test_filters_keep_out_what_is_not_wanted(database: Database, stream: Stream) -> None:
    wanted = {
        "operator": EventFilter("other"),
        "station": EventFilter(None, frozenset(), frozenset({"CS-2", "CS-3"})),
        "type": EventFilter(None, types_of(["session.*"])),
        "both": EventFilter("default", frozenset(), frozenset({"CS-2"})),
    }
    live = {name: await (await reading(stream, filter)).joined() for name, filter in wanted.items()}
    await tell(database, "a", station="CS-1")
    await tell(database, "b", station="CS-2", operator="other")
    await tell(database, "c", station="CS-2")
    await tell(database, "d", station="CS-3")
    unit = Unit(Station(1, 1, "default", "CS-9"), NOW)
    unit.events.append(SessionMetered(at=NOW, session=1, energy_wh=1.0))
    await database.writer.commit(unit)
    expected = {"operator": ["b"], "station": ["b", "c", "d"], "type": [None], "both": ["c"]}
    for name, filter in wanted.items():
        assert await live[name].until(len(expected[name])) == expected[name]
        again = await (await reading(stream, filter, "0")).joined()
        assert again.reasons == expected[name]


async def test_readers_of_one_filter_share_their_bytes(database: Database, stream: Stream) -> None:
    readers = [await (await reading(stream)).joined() for _ in range(3)]
    await tell(database, "a")
    chunks = [await anext(reader.chunks) for reader in readers]
    assert chunks[0] == chunks[1] == chunks[2]
    assert stream.metrics.events == 3


async def test_slow_reader_is_dropped_and_misses_nothing_when_it_resumes(database: Database, outbox: Outbox) -> None:
    stream = Stream(outbox, StreamOptions(linger=0, most_waiting=500))
    stream.start()
    aborted = asyncio.Event()
    slow = await (await reading(stream, abort=aborted.set)).joined()
    quick = await (await reading(stream)).joined()
    told = [f"{number:03}" for number in range(20)]
    for number, reason in enumerate(told):
        await tell(database, reason)
        await quick.until(number + 1)
    async with asyncio.timeout(5):
        await aborted.wait()
    await slow.end()
    assert slow.reasons == [], "what waited for it was let go"
    again = await reading(stream, after=slow.last_id)
    assert await again.until(20) == told
    assert stream.metrics.dropped == 1
    await again.chunks.aclose()
    await quick.chunks.aclose()
    assert stream.metrics.readers == 0
    await stream.stop()


async def test_comments_keep_an_idle_stream_open_and_tell_the_place(database: Database, outbox: Outbox) -> None:
    stream = Stream(outbox, StreamOptions(linger=0, heartbeat=0.01))
    stream.start()
    picky = await (await reading(stream, EventFilter("nobody"))).joined()
    comments = picky.comments
    await tell(database, "a")
    async with asyncio.timeout(5):
        while picky.last_id != "1":
            picky._take(await anext(picky.chunks))
    assert picky.comments > comments
    assert picky.events == []
    await stream.stop()


async def test_what_is_kept_no_longer_is_told_as_a_gap(database: Database, outbox: Outbox, stream: Stream) -> None:
    await tell(database, *"abcdef")
    await outbox.purge(NOW, 2)
    late = await reading(stream, after="2-0")
    await late.until(3)
    assert late.events[0] == {"type": "stream.gap", "after": "2-0", "oldest": "5-0"}
    assert late.reasons[1:] == ["e", "f"]
    assert await (await reading(stream, after="4-0")).until(2) == ["e", "f"]
    assert await (await reading(stream, after="0")).until(2) == ["e", "f"]


async def test_id_from_the_future_is_told_as_a_gap(database: Database, stream: Stream) -> None:
    """As after a restored backup: it would wait for ever."""
    await tell(database, "a")
    reader = await (await reading(stream, after="99-0")).joined()
    assert reader.events == [{"type": "stream.gap", "after": "99-0", "oldest": None}]
    await tell(database, "b")
    assert (await reader.until(2))[1:] == ["b"]


async def test_reader_waits_for_news_though_all_it_knows_was_purged(
    database: Database, outbox: Outbox, stream: Stream
) -> None:
    await tell(database, *"abc")
    await outbox.purge(NOW, 0)
    reader = await (await reading(stream, after="3-0")).joined()
    await tell(database, "d")
    assert await reader.until(1) == ["d"]


async def test_end_of_the_server_ends_the_streams_after_the_last_event(database: Database, stream: Stream) -> None:
    reader = await (await reading(stream)).joined()
    await tell(database, "last words")
    ended = asyncio.create_task(reader.end())
    await stream.stop()
    await ended
    assert reader.reasons == ["last words"]
    with pytest.raises(NoStream):
        await stream.open(ALL)


async def test_more_readers_than_may_are_refused(outbox: Outbox) -> None:
    stream = Stream(outbox, StreamOptions(most_readers=1))
    stream.start()
    reader = await (await reading(stream)).joined()
    with pytest.raises(NoStream, match="event_readers"):
        await stream.open(ALL)
    await reader.chunks.aclose()
    await (await reading(stream)).joined()
    await stream.stop()


async def test_stream_ends_after_a_while_so_that_the_key_is_looked_at_again(database: Database, outbox: Outbox) -> None:
    stream = Stream(outbox, StreamOptions(longest=0.05, heartbeat=0.01))
    stream.start()
    await (await reading(stream)).end()
    await stream.stop()


async def test_nothing_follows_the_outbox_while_nobody_reads(stream: Stream) -> None:
    reader = await (await reading(stream)).joined()
    assert stream._task is not None
    await reader.chunks.aclose()
    assert stream._task is None and not stream._channels


async def test_outbox_that_cannot_be_read_for_a_while_ends_no_stream(database: Database, outbox: Outbox) -> None:
    class Unreadable(Outbox):
        broken = 0

        async def page(self, after: int, limit: int) -> list[Any]:
            if self.broken:
                self.broken -= 1
                raise OSError("cannot read")
            return await super().page(after, limit)

    unreadable = Unreadable(database)
    stream = Stream(unreadable, QUICK)
    stream.start()
    reader = await (await reading(stream)).joined()
    unreadable.broken = 1
    await tell(database, "a")
    assert await reader.until(1) == ["a"]
    await stream.stop()


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1-b", "١", "9" * 19, "1-" + "9" * 10])
def test_what_is_no_event_id_is_refused(text: str) -> None:
    with pytest.raises(BadPlace):
        Place.parse(text)
