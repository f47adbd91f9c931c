"""Live events for many readers, as server-sent events.

One task follows the outbox while anybody reads, and each page becomes bytes once for all readers who want the same.
A reader that comes back reads on from the outbox by itself until it has caught up with that task, then joins it: nothing
is left out, nothing comes twice. Its law: no reader is waited for. Whoever takes less than comes in, beyond a bounded
buffer, is dropped and may resume where it was.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

import structlog

from csms.bus.feed import enveloped, follow, type_of
from csms.domain.events import EventFilter
from csms.storage.outbox import Entry, Outbox

log = structlog.get_logger()

MEDIA_TYPE = "text/event-stream"
_RETRY = b"retry: 2000\n"  # ms until a client that was dropped comes back
_RECOVER = 1.0  # s until the outbox is read again after it could not be


class NoStream(RuntimeError):
    """Events cannot be streamed here and now; the message says why and what to do."""


class BadPlace(ValueError):
    """What a reader wants to resume after is no event id."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    most_readers: int = 1000
    most_waiting: int = 1 << 20  # Bytes that wait for one reader; they are shared with the others of the same filter.
    heartbeat: float = 15.0  # s of silence after which a comment keeps proxies from closing
    longest: float = 3600.0  # s (±10 %); then the reader comes again, and its key is looked at again
    linger: float = 0.05  # s, see feed.follow
    poll: float = 5.0
    page: int = 1000  # Entries read at a time by one that catches up.
    catching_up: int = 4  # Readers that read from the database at once.


@dataclass(slots=True)
class StreamMetrics:
    readers: int = 0
    dropped: int = 0  # Readers that were too slow.
    events: int = 0  # Events sent to readers, counted once for each.


class Place(NamedTuple):
    """All events up to number `event` of the outbox entry `entry` are known; None: all events of it."""

    entry: int
    event: int | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        entry, dash, event = text.partition("-")
        if not (entry.isascii() and entry.isdigit() and (not dash or (event.isascii() and event.isdigit()))):
            raise BadPlace(f"{text[:50]!r} is no event_id. Send one that you got, or 0 for all that is kept.")
        if len(entry) > 18 or len(event) > 9:
            raise BadPlace(f"{text[:50]!r} is no event_id that was ever given.")
        return cls(int(entry), int(event) if dash else None)


class Stream:
    """Gives readers the events they want. It serves between `start` and `stop`."""

    def __init__(
        self, outbox: Outbox, options: StreamOptions | None = None, jitter: Callable[[], float] = random.random
    ):
        self.metrics = StreamMetrics()
        self.options = options or StreamOptions()
        self._outbox = outbox
        self._jitter = jitter
        self._serving = False
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._position = 0  # Every entry up to it was given to those who joined.
        self._catching_up = asyncio.Semaphore(self.options.catching_up)
        self._channels: dict[EventFilter, _Channel] = {}
        self._everywhere: list[_Channel] = []  # Those that want events of any station …
        self._of_station: defaultdict[str, list[_Channel]] = defaultdict(list)  # … and of this one.

    def start(self) -> None:
        self._serving = True

    async def stop(self, within: float = 1.0) -> None:
        """Give the readers what was committed, then let them go."""
        until = monotonic() + within
        if self._channels:
            _, newest = await self._outbox.bounds()
            while self._position < newest and monotonic() < until:
                await asyncio.sleep(0.01)
        self._serving = False
        for channel in self._channels.values():
            for reader in channel.readers:
                reader.news.set()
        while self.metrics.readers and monotonic() < until:
            await asyncio.sleep(0.01)
        await self._rest()

    async def open(
        self, wanted: EventFilter, after: str | None = None, abort: Callable[[], None] | None = None
    ) -> AsyncIterator[bytes]:
        """The stream of a new reader: what follows the event `after`, or what happens from now on.

        `abort` is called when the reader is dropped: it ends a connection whose client reads nothing any more.
        Raises NoStream, BadPlace.
        """
        place = None if after is None else Place.parse(after)
        if not self._serving:
            raise NoStream("No server runs here that could tell of events: start one, csms serve.")
        if self.metrics.readers >= self.options.most_readers:
            raise NoStream("As many follow the events as may (event_readers). Try again later, or use MQTT.")
        return self._read(wanted, place, abort)

    # A reader.

    async def _read(
        self, wanted: EventFilter, place: Place | None, abort: Callable[[], None] | None
    ) -> AsyncIterator[bytes]:
        until = monotonic() + self.options.longest * (0.9 + 0.2 * self._jitter())
        self.metrics.readers += 1
        reader = _Reader(self.options.most_waiting, abort)
        channel: _Channel | None = None
        try:
            await self._follow_outbox()
            yield _RETRY + b":\n\n"
            if place is None:
                place = Place(self._position)
            elif (lost := await self._gap(place)) is not None:
                place, notice = lost
                yield notice
            after = place.entry if place.event is None else place.entry - 1
            while after != self._position:
                if not self._serving or monotonic() > until:
                    return
                after, frames, events = await self._catch_up(wanted, after, place)
                if frames:
                    self.metrics.events += events
                    yield frames
            channel = self._join(wanted, reader)  # Since the comparison above nothing else has run.
            yield _mark(after)
            while self._serving and monotonic() < until:
                waiting = await reader.take(self.options.heartbeat)
                if reader.dropped:
                    return
                yield waiting or b":\n" + _mark(self._position)
            if reader.waiting:  # What came in before the end.
                yield await reader.take(0)
        finally:
            if channel is not None:
                self._leave(channel, reader)
            self.metrics.readers -= 1
            if not self.metrics.readers:
                await self._rest()

    async def _gap(self, place: Place) -> tuple[Place, bytes] | None:
        """Where to go on, and the words for it, when what the reader wants is not kept."""
        oldest, _ = await self._outbox.bounds()
        newest = await self._outbox.newest()
        if place.entry > newest:
            return Place(self._position), _gap_frame(place, None)
        first = oldest or newest + 1
        if 0 < place.entry < first - 1:
            return Place(first - 1), _gap_frame(place, f"{first}-0" if oldest else None)
        return None

    async def _catch_up(self, wanted: EventFilter, after: int, place: Place) -> tuple[int, bytes, int]:
        """The next page for one that has not joined yet: (where it is then, what it gets, how many events)."""
        edge = self._position
        if after > edge:  # It comes from a node that was ahead of this one, or from before all was purged.
            _, newest = await self._outbox.bounds()
            if newest <= self._position < after:  # What will still be committed comes after what the reader knows.
                self._position = after
            await asyncio.sleep(self.options.linger)
            return after, b"", 0
        async with self._catching_up:
            page = await self._outbox.page(after, self.options.page)
        known = (place.entry, -1 if place.event is None else place.event)
        frames = [
            frame
            for entry in page
            if entry.id <= edge
            for number, (type, frame) in enumerate(_frames(entry))
            if (entry.id, number) > known and wanted.wants(entry.operator, entry.station, type)
        ]
        done = len(page) < self.options.page or page[-1].id >= edge
        return edge if done else page[-1].id, b"".join(frames), len(frames)

    def _join(self, wanted: EventFilter, reader: _Reader) -> _Channel:
        channel = self._channels.get(wanted)
        if channel is None:
            channel = self._channels[wanted] = _Channel(wanted)
            for place in self._places(wanted):
                place.append(channel)
        channel.readers.add(reader)
        return channel

    def _leave(self, channel: _Channel, reader: _Reader) -> None:
        channel.readers.discard(reader)
        self.metrics.dropped += reader.dropped
        if not channel.readers and self._channels.pop(channel.wanted, None):
            for place in self._places(channel.wanted):
                place.remove(channel)
            for station in channel.wanted.stations:
                if not self._of_station[station]:
                    del self._of_station[station]

    def _places(self, wanted: EventFilter) -> list[list[_Channel]]:
        return [self._of_station[station] for station in wanted.stations] if wanted.stations else [self._everywhere]

    # The task that follows the outbox.

    async def _follow_outbox(self) -> None:
        async with self._starting:
            if self._task is None or self._task.done():
                _, self._position = await self._outbox.bounds()
                self._task = asyncio.create_task(self._follow(), name="event-stream")

    async def _rest(self) -> None:
        """Nobody reads any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _follow(self) -> None:
        while True:
            try:
                async for page in follow(
                    self._outbox, self._position, linger=self.options.linger, poll=self.options.poll
                ):
                    self._hand_out(page)
            except Exception:  # The readers keep their place, and so does this.
                log.exception("stream.outbox_unreadable")
            await asyncio.sleep(_RECOVER)

    def _hand_out(self, page: list[Entry]) -> None:
        """Without a pause in between, so that whoever joins is either before or behind the whole page."""
        waiting: defaultdict[_Channel, list[bytes]] = defaultdict(list)
        for entry in page:
            channels = [*self._everywhere, *self._of_station.get(entry.station, ())]
            if not channels:
                continue
            for type, frame in _frames(entry):
                for channel in channels:
                    if channel.wanted.wants(entry.operator, entry.station, type):
                        waiting[channel].append(frame)
        for channel, frames in waiting.items():
            together = b"".join(frames)
            self.metrics.events += len(frames) * len(channel.readers)
            for reader in channel.readers:
                reader.put(together)
        self._position = page[-1].id


class _Channel:
    """Readers who want the same."""

    __slots__ = ("readers", "wanted")

    def __init__(self, wanted: EventFilter):
        self.wanted = wanted
        self.readers: set[_Reader] = set()


class _Reader:
    """What waits for one connection."""

    __slots__ = ("_abort", "_most", "_size", "dropped", "news", "waiting")

    def __init__(self, most: int, abort: Callable[[], None] | None):
        self._most = most
        self._abort = abort
        self._size = 0
        self.dropped = False
        self.waiting: deque[bytes] = deque()
        self.news = asyncio.Event()

    def put(self, frames: bytes) -> None:
        if self.dropped:
            return
        if self.waiting and self._size + len(frames) > self._most:
            self.dropped = True
            self.waiting.clear()
            if self._abort is not None:
                self._abort()
        else:
            self.waiting.append(frames)
            self._size += len(frames)
        self.news.set()

    async def take(self, within: float) -> bytes:
        """All that waits, together; nothing if nothing comes `within` s."""
        if not self.waiting and not self.dropped:
            self.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self.news.wait()
        taken = b"".join(self.waiting)
        self.waiting.clear()
        self._size = 0
        return taken


def _frames(entry: Entry) -> list[tuple[str, bytes]]:
    """(type, the event as one server-sent event) for each event of the entry."""
    frames = []
    for number, (event, text) in enumerate(zip(entry.events, enveloped(entry), strict=True)):
        type = type_of(event)
        frames.append((type, b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (entry.id, number, type.encode(), text)))
    return frames


def _mark(position: int) -> bytes:
    """Where the reader is, without an event: a client that comes back with it need not read all from its last event."""
    return b"id: %d\n\n" % position


def _gap_frame(after: Place, oldest: str | None) -> bytes:
    known = f"{after.entry}" if after.event is None else f"{after.entry}-{after.event}"
    first = b"null" if oldest is None else b'"%b"' % oldest.encode()
    return b'event: stream.gap\ndata: {"type":"stream.gap","after":"%b","oldest":%b}\n\n' % (known.encode(), first)
