"""Who follows events while stations talk: how long from a station's bytes until a subscriber has the event."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from time import perf_counter

import aiomqtt
import httpx
import msgspec

from benchmarks.stations import BenchmarkError, Station
from simulators.histogram import Histogram

_STAMP = b'"timestamp":"'
_SECONDS = len("2026-05-04T12:00:00")


class _Event(msgspec.Struct):
    station: str
    at: str


class _Events(msgspec.Struct):
    events: list[_Event]


_one = msgspec.json.Decoder(_Event).decode
_many = msgspec.json.Decoder(_Events).decode


class Followed:
    """What stations sent and when; each message has a time of its own, by which its event is recognised."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], float] = {}
        self.latency: dict[str, Histogram] = {}

    def sent(self, station: Station, message: bytes) -> None:
        begin = message.find(_STAMP) + len(_STAMP)
        if begin >= len(_STAMP):
            self._sent[station.name, message[begin : begin + _SECONDS].decode()] = perf_counter()

    def begin(self) -> None:
        """Count from here on."""
        self._sent.clear()
        self.latency = {name: Histogram() for name in self.latency}

    def arrived(self, follower: str, event: _Event) -> None:
        since = self._sent.get((event.station, event.at[:_SECONDS]))
        if since is not None:
            self.latency[follower].add(perf_counter() - since)

    @contextlib.asynccontextmanager
    async def following(self, name: str, follow: Callable[[Callable[[_Event], None]], AsyncIterator[None]]):
        """`follow` yields once it is subscribed, and then hands over every event."""
        self.latency[name] = Histogram()
        following = follow(lambda event: self.arrived(name, event))
        await anext(following)

        async def go_on() -> None:
            async for _ in following:
                pass
            raise BenchmarkError(f"the {name} subscription ended")

        task = asyncio.create_task(go_on(), name=f"follow-{name}")
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.wait({task})


async def over_mqtt(url: str, took: Callable[[_Event], None]) -> AsyncIterator[None]:
    parts = httpx.URL(url)
    async with aiomqtt.Client(
        parts.host, parts.port, username=parts.username, password=parts.password, protocol=aiomqtt.ProtocolVersion.V5
    ) as client:
        await client.subscribe("csms/v1/+/events", qos=1)
        yield
        async for message in client.messages:
            for event in _many(message.payload).events:
                took(event)


async def over_sse(url: str, key: str, took: Callable[[_Event], None]) -> AsyncIterator[None]:
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=None) as client,
        client.stream("GET", f"{url}/api/v1/events") as response,
    ):
        if response.status_code != 200:
            raise BenchmarkError(f"events cannot be followed: {(await response.aread())!r}")
        yield
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                took(_one(line[5:]))
