"""Many stations in one process: brought up at a rate, run for a while, and ended with nothing owed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from csms.ocpp.version import Version
from simulators import v16_talk, v201_talk
from simulators.clock import Clock
from simulators.connection import open_connection, station_url
from simulators.demand import Demand
from simulators.incidents import Incident
from simulators.ledger import Ledger
from simulators.scenarios import StationPlan
from simulators.station import Station
from simulators.tally import Tally
from simulators.world import World

TALKS = {Version.V16: v16_talk, Version.V201: v201_talk}
TICK = 1.0  # Seconds between two looks at the deadlines of all calls.
DRAIN = 30.0  # Seconds the end of a run waits for what the server still owes an answer.
GOODBYE = 0.5  # Seconds of the drain kept for closing; a server that does not close by then is cut off.
PER_ADDRESS = 5_000  # Of 28,232 ports; when half of them are taken, Linux needs milliseconds to find a free one.
_MOST_DIALLING = 500  # Handshakes under way at once; more would only time out in the server's queue.


@dataclass(slots=True)
class Orders:
    """How a fleet is to run. Times in real seconds."""

    url: str
    seconds: float
    speed: float = 1.0
    ramp: float = 200.0  # Stations that start to connect in a second, at most …
    at_once: int = _MOST_DIALLING  # … as long as so many handshakes are under way at most.
    upto: int | None = None  # Stations to connect before `allow` is told of more; None: all.
    end_sessions: bool = True
    drain: float = DRAIN
    timeout: float = 30.0
    tokens: list[str] = field(default_factory=lambda: default_tokens())
    ledger: Ledger | None = None
    demand: Demand = field(default_factory=Demand)
    incidents: tuple[Incident, ...] = ()
    addresses: int | None = (
        None  # Connect from 127.0.<this>.1 on, PER_ADDRESS stations each; None: as the system likes.
    )


def default_tokens(how_many: int = 100) -> list[str]:
    return [f"SIM-TOKEN-{number:04d}" for number in range(1, how_many + 1)]


class Fleet:
    """The stations of one run. `run` brings them up and returns when they are done; `stop` ends it early."""

    def __init__(self, plans: Iterable[StationPlan], orders: Orders):
        loop = asyncio.get_running_loop()
        self.orders = orders
        self.tally = Tally()
        # A longer end is rare: then the clock walks with the wall.
        span = orders.seconds + min(orders.drain, 5.0)
        self.world = World(
            clock=Clock(loop, speed=orders.speed, span=span),
            dial=self._dial,
            talks=TALKS,
            tokens=orders.tokens,
            tally=self.tally,
            ledger=orders.ledger,
            timeout=orders.timeout,
            demand=orders.demand,
            run=f"{int(time.time() * 1000):x}",
        )
        self.stations = [Station(plan, self.world) for plan in plans]
        self.ending = False
        self._dialling: set[asyncio.Task[None]] = set()
        self._to_dial: deque[Station] = deque()  # Those for whom there is no room yet.
        self._upto = len(self.stations) if orders.upto is None else orders.upto
        self._stop = asyncio.Event()
        self._enough = False
        self._started = loop.time()
        self._seconds: float | None = None

    async def run(self) -> None:
        """Connect at the ramp's rate, live for the time ordered, then end gracefully."""
        self._started = asyncio.get_running_loop().time()
        loop = asyncio.get_running_loop()
        ticker = asyncio.create_task(self._tick(), name="fleet ticker")
        incidents = [loop.call_later(incident.at, self.befall, incident) for incident in self.orders.incidents]
        try:
            await self._ramp_up()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._left())
            await self._end()
        finally:
            for incident in incidents:
                incident.cancel()
            ticker.cancel()
            self._to_dial.clear()
            for task in self._dialling:
                task.cancel()
            await asyncio.gather(ticker, *self._dialling, return_exceptions=True)
            self._seconds = asyncio.get_running_loop().time() - self._started

    def allow(self, stations: int) -> None:
        """Let the ramp go on to so many."""
        self._upto = stations

    def stop_ramp(self) -> None:
        """Connect no more stations than have begun to."""
        self._enough = True

    def stop(self) -> None:
        """End the run now, gracefully."""
        self._stop.set()

    @property
    def seconds(self) -> float:
        return self._seconds if self._seconds is not None else asyncio.get_running_loop().time() - self._started

    @property
    def unacknowledged(self) -> int:
        return self.tally.owed

    def _left(self) -> float:
        return max(0.0, self.orders.seconds - (asyncio.get_running_loop().time() - self._started))

    async def _ramp_up(self) -> None:
        """At the ramp's rate, and no faster than the server takes them in."""
        pause, begun, due = TICK / 20, 0, 0.0
        while begun < len(self.stations) and not self._enough and not self._stop.is_set() and self._left():
            due = min(due + self.orders.ramp * pause, max(1.0, self.orders.ramp * TICK))
            room = self.orders.at_once - len(self._dialling) - len(self._to_dial)
            now = max(0, min(int(due), room, self._upto - begun))
            for station in self.stations[begun : begun + now]:
                station.connect()
            begun, due = begun + now, due - now
            await asyncio.sleep(pause)

    async def _end(self) -> None:
        """Drain, then hang up: done when `drain` is over, whether the server is there or not."""
        self.ending = True
        drained = asyncio.get_running_loop().time() + self.orders.drain
        goodbye = min(GOODBYE, self.orders.drain / 2)
        final = self.tally.connected
        for station in self.stations:
            station.finish(end_sessions=self.orders.end_sessions)
        await self._until(lambda: all(station.owes_nothing for station in self.stations), drained - goodbye)
        self.connected_at_end = max(final, self.tally.connected)
        for station in self.stations:
            station.hang_up()
        at_least = asyncio.get_running_loop().time() + GOODBYE / 5  # Without a drain too, a goodbye goes out.
        await self._until(lambda: self.tally.connected == 0, max(drained, at_least))
        for station in self.stations:
            station.link.cut()

    async def _until(self, done: Callable[[], bool], deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not done() and (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(0.02, left))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now, deadlines = self.world.clock.wall(), self.world.deadlines
            while (
                deadlines and deadlines[0][0] <= now
            ):  # To look at every station would be most of an idle fleet's work.
                deadlines.popleft()[1].tick(now)

    def befall(self, incident: Incident) -> None:
        """Let it happen now."""
        if not self.ending:
            for station in self.stations:
                if incident.befalls(station.plan):
                    station.link.keep_away(incident.seconds)

    def _dial(self, station: Station) -> None:
        if len(self._dialling) >= _MOST_DIALLING:
            self._to_dial.append(station)
            return
        task = asyncio.get_running_loop().create_task(self._open(station))
        self._dialling.add(task)
        task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dialling.discard(task)
        if self._to_dial and self._seconds is None:
            self._dial(self._to_dial.popleft())

    async def _open(self, station: Station) -> None:
        plan = station.plan
        url = station_url(self.orders.url, plan.identity, plan.operator)
        await open_connection(
            url,
            plan.version,
            station,
            identity=plan.identity,
            password=plan.password,
            timeout=self.orders.timeout,
            local=self._address(),
        )

    def _address(self) -> str | None:
        """Where the next connection comes from: addresses take turns."""
        first = self.orders.addresses
        if first is None:
            return None
        number = self._opened % (1 + len(self.stations) // PER_ADDRESS)
        self._opened += 1
        return f"127.0.{first + number // 250}.{1 + number % 250}"

    _opened = 0
    connected_at_end = 0

    def summary(self) -> dict[str, Any]:
        """What happened, in plain numbers."""
        sessions = [session for station in self.stations for session in station.sessions]
        acknowledged = [session for session in sessions if session.acknowledged]
        p50, p99 = self.tally.latency_ms(0.5, 0.99)
        ledger = self.orders.ledger
        return {
            "stations": len(self.stations),
            "stations_connected": self.tally.peak,
            "stations_connected_at_end": self.connected_at_end,
            "messages": self.tally.sent,
            "answered": self.tally.answered,
            "commands": self.tally.commands,
            "sessions_opened": len(sessions),
            "sessions_closed": sum(session.closed for session in sessions),
            "sessions_acknowledged": len(acknowledged),
            "energy_wh": sum(session.energy_wh for session in acknowledged),
            "unacknowledged": self.unacknowledged,
            "unanswered": self.tally.unanswered,
            "refused": dict(self.tally.refused),
            "reconnects": self.tally.reconnects,
            "errors": dict(self.tally.errors),
            "latency_p50_ms": p50,
            "latency_p99_ms": p99,
            "seconds": round(self.seconds, 2),
        } | ({"ledger": str(ledger.path)} if ledger is not None else {})

    def beliefs(self) -> Iterable[dict[str, Any]]:
        """Every session as its station believes it happened."""
        for station in self.stations:
            plan = station.plan
            for session in station.sessions:
                yield session.belief(operator=plan.operator, station=plan.identity, version=plan.version.value)
