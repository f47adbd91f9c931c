"""The measurements, each on a server that is already running: numbers in, one `Figure` out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from time import monotonic

from benchmarks import work
from benchmarks.followers import Followed, over_mqtt, over_sse
from benchmarks.servers import Server, settled
from benchmarks.stations import BenchmarkError, Crowd
from benchmarks.work import Kind, Talk, Version

PACED_RATE, BILLING_RATE = 500, 2_000  # calls a second


@dataclass(frozen=True)
class Plan:
    """How long and how many."""

    warm_up: float  # s
    saturated: float  # s
    paced: float  # s
    paced_stations: int
    connections: int  # of a saturated measurement
    arrivals: int  # stations that connect one after the other
    idle: int  # connections whose memory is weighed


FULL = Plan(warm_up=1.0, saturated=4.0, paced=20.0, paced_stations=1_000, connections=100, arrivals=3_000, idle=10_000)
QUICK = Plan(warm_up=0.1, saturated=0.4, paced=1.0, paced_stations=200, connections=100, arrivals=300, idle=1_000)


@dataclass(frozen=True)
class Figure:
    """What one server did in one measurement."""

    messages: int
    cpu: float  # s
    wall: float  # s
    p50: float = 0.0  # s
    p99: float = 0.0
    worst: float = 0.0

    @property
    def per_cpu_second(self) -> float:
        return self.messages / self.cpu if self.cpu else 0.0

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU a message."""
        return 1000 * self.cpu / self.messages if self.messages else 0.0

    @property
    def busy(self) -> float:
        """Share of its core the server used."""
        return self.cpu / self.wall if self.wall else 0.0


@dataclass(frozen=True)
class Weight:
    """Bytes of server memory a connection: after the handshake, and after its boot."""

    bare: float
    booted: float


@dataclass
class Meter:
    """Called at both ends of a measurement."""

    server: Server
    marks: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self) -> None:
        self.marks.append((self.server.cpu(), monotonic()))

    @property
    def spent(self) -> tuple[float, float]:
        """CPU and wall seconds between the two ends."""
        (cpu, begin), (cpu_after, end) = self.marks
        return cpu_after - cpu, end - begin


_numbers = count()


def station_names(most: int) -> list[str]:
    return [f"CS-{number:06}" for number in range(most)]


def _take(number: int) -> list[str]:
    return [f"CS-{next(_numbers):06}" for _ in range(number)]


def needed(plan: Plan) -> int:
    """How many stations a run of all measurements uses at most, both servers together."""
    return 2 * (len(work.SATURATED) * plan.connections + plan.arrivals + 3 * plan.paced_stations + plan.idle + 500)


async def saturated(server: Server, kind: Kind, plan: Plan) -> Figure:
    return await _measured(
        server, kind.version, plan.connections,
        lambda crowd, meter: crowd.saturate(kind.talk, meter, plan.warm_up, plan.saturated),
    )  # fmt: skip


async def paced(server: Server, talk: Callable[[], Talk], rate: float, plan: Plan) -> Figure:
    return await _measured(
        server,
        work.V16,
        plan.paced_stations,
        lambda crowd, meter: crowd.pace(talk, meter, rate, plan.warm_up, plan.paced),
    )


async def followed(server: Server, broker_url: str, key: str, plan: Plan) -> dict[str, Figure]:
    """Transaction messages at a steady rate, while one subscriber follows over MQTT and one by server-sent events."""
    followed, crowd, meter = Followed(), Crowd(server.port, server.path), Meter(server)

    def both_ends() -> None:
        if not meter.marks:
            followed.begin()
        meter()

    api = f"http://127.0.0.1:{server.http}"
    async with (
        followed.following("MQTT subscriber", partial(over_mqtt, broker_url)),
        followed.following("SSE reader", partial(over_sse, api, key)),
    ):
        await crowd.connect(_take(plan.paced_stations), work.V16)
        crowd.on_sent = followed.sent
        await crowd.pace(work.billing_16, both_ends, BILLING_RATE, plan.warm_up, plan.paced)
        answered, _ = crowd.tally
        await settled(server)
    await _ended(crowd, server)
    for name, latency in followed.latency.items():
        if latency.total < answered * 0.95:
            raise BenchmarkError(f"{name}: of {answered} messages {latency.total} events arrived")
    return {
        name: Figure(answered, *meter.spent, latency.quantile(0.5), latency.quantile(0.99), latency.worst)
        for name, latency in followed.latency.items()
    }


async def arrivals(server: Server, plan: Plan) -> Figure:
    """Connect, handshake, credentials and boot, 64 at a time."""
    crowd = Crowd(server.port, server.path)
    meter = Meter(server)
    await crowd.connect(_take(64), work.V16)
    await settled(server)
    meter()
    await crowd.connect(_take(plan.arrivals), work.V16)
    meter()
    await _ended(crowd, server)
    return Figure(plan.arrivals, *meter.spent)


async def weighed(server: Server, plan: Plan) -> Weight:
    """On a server just started: what many idle connections add to its memory."""
    before_all = Crowd(server.port, server.path)
    await before_all.connect(_take(200), work.V16)  # What is made once is no connection's weight.
    await settled(server)
    crowd = Crowd(server.port, server.path)
    empty = server.resident()
    await crowd.connect(_take(plan.idle), work.V16, boot=False)
    await settled(server)
    bare = server.resident()
    await crowd.boot(work.V16)
    await settled(server)
    booted = server.resident()
    await crowd.close()
    await before_all.close()
    return Weight((bare - empty) / plan.idle, (booted - empty) / plan.idle)


async def _measured(server: Server, version: Version, stations: int, run: Callable) -> Figure:
    crowd = Crowd(server.port, server.path)
    await crowd.connect(_take(stations), version)
    await settled(server)
    meter = Meter(server)
    await run(crowd, meter)
    answered, latency = crowd.tally
    await _ended(crowd, server)
    return Figure(answered, *meter.spent, latency.quantile(0.5), latency.quantile(0.99), latency.worst)


async def _ended(crowd: Crowd, server: Server) -> None:
    await crowd.close()
    await settled(server)
