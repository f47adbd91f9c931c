"""A load of stations on few instructions, so that the client is not what is measured.

Frames are masked with one fixed key (the server unmasks all the same) and answers are compared by their first bytes.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable
from time import perf_counter

from websockets.speedups import apply_mask

from benchmarks.work import Talk, Version, call
from simulators.histogram import Histogram

PASSWORD = "a-benchmark-password"
_MASK = b"\x37\xfa\x21\x3d"
_PER_ADDRESS = 10_000  # Connections from one loopback address: below the range of ephemeral ports.
_STEPS = 12  # How far paced stations are apart: about one round of what they say.
_PONG = b"\x8a\x80" + _MASK


class BenchmarkError(Exception):
    """A server did not do the work: its figures would be worthless."""


def frame(payload: bytes) -> bytes:
    """The masked text frame of a client."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + _MASK + apply_mask(payload, _MASK)
    return b"\x81\xfe" + size.to_bytes(2, "big") + _MASK + apply_mask(payload, _MASK)


def handshake(host: str, path: str, identity: str, version: Version) -> bytes:
    credentials = base64.b64encode(f"{identity}:{PASSWORD}".encode()).decode()
    lines = (
        f"GET {path}/{identity} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {version.subprotocol}", f"Authorization: Basic {credentials}", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


class Station(asyncio.Protocol):
    """One connection. `on_answer(station, answer)` is called for each; nothing is sent by itself but pongs."""

    __slots__ = (
        "_buffer",
        "_hello",
        "_transport",
        "closing",
        "due",
        "name",
        "next_call",
        "on_answer",
        "on_lost",
        "ready",
        "talk",
    )

    def __init__(self, name: str, hello: bytes, ready: asyncio.Future[None], on_lost: Callable[[str], None]):
        self.name = name
        self._hello: bytes | None = hello
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.on_answer: Callable[[Station, bytes], None] = _unexpected
        self.on_lost = on_lost
        self.ready = ready
        self.closing = False
        self.talk: Talk | None = None
        self.next_call: bytes | None = None
        self.due: deque[float] | None = None  # When its calls were due that are not answered yet.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if self._hello is not None:
            data = self._shake_hands(data)
        start, end = 0, len(data)
        while end - start >= 2:
            first, size = data[start], data[start + 1]
            body = start + 2
            if size == 126:
                size, body = int.from_bytes(data[start + 2 : start + 4], "big"), start + 4
            if body + size > end:
                break
            start = body + size
            if first == 0x81:
                self.on_answer(self, data[body:start])
            elif first == 0x89:
                self._transport.write(_PONG)
            else:
                self._fail(f"the server sent {data[body:start]!r} in a frame of type {first:#x}")
        self._buffer = data[start:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closing:
            self._fail("the server ended a connection")

    def send(self, message: bytes) -> None:
        self._transport.write(frame(message))

    def abort(self) -> None:
        self.closing = True
        self._transport.abort()

    def _shake_hands(self, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return data
        self._hello = None
        if not head.startswith(b"HTTP/1.1 101"):
            self._fail(head.partition(b"\r\n")[0].decode())
        elif not self.ready.done():
            self.ready.set_result(None)
        return rest

    def _fail(self, why: str) -> None:
        self.closing = True
        if not self.ready.done():
            self.ready.set_exception(BenchmarkError(why))
        else:
            self.on_lost(why)


def _unexpected(station: Station, answer: bytes) -> None:
    raise BenchmarkError(f"an answer nobody waits for: {answer!r}")


def is_result(answer: bytes) -> bool:
    return answer[:2] == b"[3"


class Crowd:
    """Many stations on one server, all of one version."""

    def __init__(self, port: int, path: str):
        self.on_sent: Callable[[Station, bytes], None] | None = None  # Called with each paced call.
        self._port = port
        self._path = path
        self.stations: list[Station] = []
        self.tally = (0, Histogram())  # Answers that came while it was measured, and how long they took.
        self._answers = 0
        self._latency = Histogram()
        self._trouble: str | None = None

    async def connect(self, names: list[str], version: Version, *, at_once: int = 64, boot: bool = True) -> None:
        """Open a connection for each name, and boot it; `at_once` are under way."""
        waiting = iter(names)

        async def worker() -> None:
            for name in waiting:
                await self._open(name, version)
                if boot:
                    await self._ask(self.stations_by_name[name], call(b"BootNotification", version.boot))

        self.stations_by_name: dict[str, Station] = {}
        await asyncio.gather(*(worker() for _ in range(at_once)))
        self._check()

    async def boot(self, version: Version, *, at_once: int = 64) -> None:
        waiting = iter(self.stations)

        async def worker() -> None:
            for station in waiting:
                await self._ask(station, call(b"BootNotification", version.boot))

        await asyncio.gather(*(worker() for _ in range(at_once)))
        self._check()

    async def saturate(
        self, talk: Callable[[], Talk], measure: Callable[[], None], warm_up: float, seconds: float
    ) -> None:
        """Each station sends its next call as soon as the last is answered; `measure` is called at both ends."""
        self._running = True
        for station in self.stations:
            station.talk, station.due = talk(), deque()
            station.on_answer = self._answered_go_on
            station.due.append(perf_counter())
            station.send(next(station.talk))
        await self._wait(warm_up)
        self._answers, self._latency = 0, Histogram()
        measure()
        await self._wait(seconds)
        measure()
        self._running = False
        self.tally = self._answers, self._latency
        await self._drained()

    async def pace(
        self, talk: Callable[[], Talk], measure: Callable[[], None], rate: float, warm_up: float, seconds: float
    ) -> None:
        """`rate` calls a second, spread over the stations in turn, whether the server keeps up or not.

        A latency begins when its call was due, not when it was sent: a slow server cannot hide what it held up.
        """
        await self._stagger(talk)
        begin, sent, measuring = perf_counter(), 0, False
        total = int(rate * (warm_up + seconds))
        while sent < total:
            due = min(total, int((perf_counter() - begin) * rate) + 1)
            while sent < due:
                self._come_due(self.stations[sent % len(self.stations)], begin + sent / rate)
                sent += 1
            if not measuring and sent >= rate * warm_up:
                measuring = True
                self._answers, self._latency = 0, Histogram()
                measure()
            await self._wait(max(0.0005, begin + sent / rate - perf_counter()))
        measure()
        self.tally = self._answers, self._latency
        await self._drained()

    async def close(self) -> None:
        for station in self.stations:
            station.abort()
        self.stations.clear()
        await asyncio.sleep(0.05)

    # What happens to each station.

    async def _open(self, name: str, version: Version) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        hello = handshake(f"127.0.0.1:{self._port}", self._path, name, version)
        address = f"127.0.0.{2 + len(self.stations) // _PER_ADDRESS}"
        _, station = await loop.create_connection(
            lambda: Station(name, hello, ready, self._lost), "127.0.0.1", self._port, local_addr=(address, 0)
        )
        self.stations.append(station)
        self.stations_by_name[name] = station
        await ready

    async def _stagger(self, talk: Callable[[], Talk], at_once: int = 64) -> None:
        """Bring the stations to different points of what they say: in a network they are not in step."""
        waiting = iter(enumerate(self.stations))

        async def worker() -> None:
            for place, station in waiting:
                station.talk, station.due = talk(), deque()
                station.next_call = next(station.talk)
                for _ in range(place % _STEPS):
                    station.next_call = station.talk.send(await self._ask(station, station.next_call))
                station.on_answer = self._answered_catch_up

        await asyncio.gather(*(worker() for _ in range(at_once)))
        self._check()

    async def _ask(self, station: Station, message: bytes) -> bytes:
        answered = asyncio.get_running_loop().create_future()
        station.on_answer = lambda _, answer: answered.set_result(answer)
        station.send(message)
        if not is_result(await answered):
            raise BenchmarkError(f"{message!r} was answered {answered.result()!r}")
        station.on_answer = _unexpected
        return answered.result()

    def _answered_go_on(self, station: Station, answer: bytes) -> None:
        self._count(station, answer)
        message = station.talk.send(answer)
        if self._running:
            station.due.append(perf_counter())
            station.send(message)

    def _come_due(self, station: Station, at: float) -> None:
        station.due.append(at)
        if len(station.due) == 1:
            self._send_next(station)

    def _answered_catch_up(self, station: Station, answer: bytes) -> None:
        self._count(station, answer)
        station.next_call = station.talk.send(answer)
        if station.due:
            self._send_next(station)

    def _send_next(self, station: Station) -> None:
        if self.on_sent is not None:
            self.on_sent(station, station.next_call)
        station.send(station.next_call)

    def _count(self, station: Station, answer: bytes) -> None:
        if not is_result(answer):
            self._lost(f"a call was refused: {answer[:300]!r}")
        self._answers += 1
        self._latency.add(perf_counter() - station.due.popleft())

    def _lost(self, why: str) -> None:
        self._trouble = self._trouble or why

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._check()

    async def _drained(self) -> None:
        for _ in range(3000):
            if not any(station.due for station in self.stations):
                return
            await self._wait(0.01)
        raise BenchmarkError("some calls were not answered within 30 s")

    def _check(self) -> None:
        if self._trouble is not None:
            raise BenchmarkError(self._trouble)
