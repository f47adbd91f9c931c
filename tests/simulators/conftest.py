"""A station under glass: time by hand, and an office at the other end of its line."""

from __future__ import annotations

import heapq
import importlib.util
import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from csms.ocpp import frames
from csms.ocpp.catalogue import Version
from csms.ocpp.frames import Call, CallError, CallResult
from simulators import v16_talk, v201_talk
from simulators.ledger import Ledger
from simulators.scenarios import StationPlan
from simulators.station import Station
from simulators.tally import Tally
from simulators.world import World

START = 1_780_000_000.0


class HandClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.speed = 1.0
        self._now = START
        self._due: list[tuple[float, int, Timer]] = []
        self._order = count()

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    def later(self, seconds: float, do: Callable[..., Any], *args: Any) -> Timer:
        timer = Timer(do, args)
        heapq.heappush(self._due, (self._now + seconds, next(self._order), timer))
        return timer

    later_wall = later

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._due)
            timer.fire()
        self._now = end


class Timer:
    def __init__(self, do: Callable[..., Any], args: tuple):
        self._do: Callable[..., Any] | None = do
        self._args = args

    def cancel(self) -> None:
        self._do = None

    def fire(self) -> None:
        if self._do is not None:
            self._do(*self._args)


ACCEPTED = {"status": "Accepted"}
ANSWERS_16 = {
    "BootNotification": {"status": "Accepted", "currentTime": "2026-05-04T12:00:00Z", "interval": 300},
    "Heartbeat": {"currentTime": "2026-05-04T12:00:00Z"},
    "StatusNotification": {},
    "Authorize": {"idTagInfo": ACCEPTED},
    "StartTransaction": {"idTagInfo": ACCEPTED, "transactionId": 77},
    "MeterValues": {},
    "StopTransaction": {"idTagInfo": ACCEPTED},
}
ANSWERS_201 = {
    "BootNotification": ANSWERS_16["BootNotification"],
    "Heartbeat": ANSWERS_16["Heartbeat"],
    "StatusNotification": {},
    "Authorize": {"idTokenInfo": ACCEPTED},
    "TransactionEvent": {},
    "MeterValues": {},
}


class Office:
    """The other end: answers by a table, remembers what it heard, and can be silent, away or angry."""

    def __init__(self, version: Version):
        self.version = version
        self.answers = dict(ANSWERS_16 if version is Version.V16 else ANSWERS_201)
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.ids: list[str] = []
        self.silent_about: set[str] = set()
        self.refuses: dict[str, str] = {}  # Action -> error code.
        self.away: Exception | None = None
        self.dials = 0
        self.line: Line | None = None
        self.station: Station | None = None
        self._answer: CallResult | CallError | None = None

    def dial(self, station: Station) -> None:
        self.dials += 1
        self.station = station
        if self.away is not None:
            station.lost(self.away)
            return
        self.line = Line(self)
        station.opened(self.line)

    def hear(self, data: bytes) -> None:
        frame = frames.parse(data, self.version)
        if not isinstance(frame, Call):
            self._answer = frame
            return
        self.heard.append((frame.action, json.loads(bytes(frame.payload))))
        self.ids.append(frame.id)
        if frame.action in self.silent_about:
            return
        if frame.action in self.refuses:
            self.line.tell(f'[4,"{frame.id}","{self.refuses[frame.action]}","",{{}}]'.encode())
            return
        payload = json.dumps(self.answers[frame.action]).encode()
        self.line.tell(frames.call_result(frame.id, payload))

    def ask(self, action: str, **payload: Any) -> dict[str, Any] | str:
        """Call the station: the payload of its answer, or the code of its error."""
        self._answer = None
        self.station.message(frames.call("office", action, json.dumps(payload).encode()))
        if isinstance(self._answer, CallError):
            return self._answer.code
        return json.loads(bytes(self._answer.payload))

    def of(self, action: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.heard if name == action]

    @property
    def actions(self) -> list[str]:
        return [name for name, _ in self.heard]


class Line:
    """What the station takes for its connection. What is said on it arrives after the present call."""

    def __init__(self, office: Office):
        self.office = office
        self.open = True

    def send(self, data: bytes) -> None:
        assert self.open
        self.office.hear(data)

    def tell(self, data: bytes) -> None:
        self.office.station.world.clock.later(0.0, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if self.open:
            self.office.station.message(data)

    def close(self) -> None:
        if self.open:
            self.open = False
            self.office.station.lost(None)

    abort = close


class Glass:
    """A station, its office and its time."""

    def __init__(self, version: Version, plan: dict[str, Any], ledger: Ledger | None = None, tokens: tuple = ("TAG",)):
        self.clock = HandClock()
        self.office = Office(version)
        self.world = World(
            clock=self.clock,
            dial=self.office.dial,
            talks={Version.V16: v16_talk, Version.V201: v201_talk},
            tokens=list(tokens),
            tally=Tally(),
            ledger=ledger,
            run="run",
        )
        self.station = Station(StationPlan("CS-1", version, **plan), self.world)

    def connect(self) -> Glass:
        self.station.connect()
        self.clock.advance(0)
        return self

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and deadlines with it."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.station.tick(self.clock.wall())

    @property
    def transaction_action(self) -> str:
        """The message a session begins with."""
        return "StartTransaction" if self.office.version is Version.V16 else "TransactionEvent"

    @property
    def begins(self) -> list[dict[str, Any]]:
        """What the office heard of sessions that began."""
        return self._told("StartTransaction", "Started")

    @property
    def ends(self) -> list[dict[str, Any]]:
        return self._told("StopTransaction", "Ended")

    def _told(self, action_16: str, event_type: str) -> list[dict[str, Any]]:
        if self.office.version is Version.V16:
            return self.office.of(action_16)
        return [event for event in self.office.of("TransactionEvent") if event["eventType"] == event_type]

    def charge(self, outlet: int = 1) -> Any:
        """A car comes and charges: its outlet, charging."""
        place = self.station.outlets[outlet - 1]
        place._car_arrives()
        self.pass_time(25)
        assert place.session is not None
        return place


MakeGlass = Callable[..., Glass]


@pytest.fixture(scope="session")
def make_glass() -> MakeGlass:
    def make(version: Version = Version.V16, *, ledger: Ledger | None = None, **plan: Any) -> Glass:
        return Glass(version, plan, ledger)

    return make


@pytest.fixture(params=[Version.V16, Version.V201], ids=str)
def glass(request: pytest.FixtureRequest, make_glass: MakeGlass) -> Glass:
    """A connected, registered station of each version, to which no car comes by itself."""
    return make_glass(request.param).connect()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.ndjson")


@pytest.fixture(scope="session")
def baseline() -> Any:
    """The module of the baseline central system: a script of `benchmarks/`, which is no package."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "baseline.py"
    spec = importlib.util.spec_from_file_location("baseline", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def baseline_url(baseline: Any) -> AsyncIterator[str]:
    """Where the baseline central system listens."""
    server = await baseline.start_baseline()
    yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
    server.close()
    await server.wait_closed()
