"""What each step of a message's journey costs, without sockets and other programs: `python -m benchmarks.steps`.

Every step is run alone, many times, and the best round counts: that is its cost on a warm, undisturbed processor. What
the kernel takes for a socket's read and write, and what threads cost each other, is not in it: `python -m benchmarks`
measures the whole.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import thread_time
from typing import Any

import csms.blocks  # noqa: F401  Registers the handlers.
from benchmarks import work
from benchmarks.stations import frame
from csms.blocks.dispatch import Context, Policy, answer
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.gateway.link import Link
from csms.gateway.server import Gateway
from csms.ocpp import tolerance
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.peer import Peer
from csms.ocpp.websocket import WebSocket
from csms.storage import sqlite
from csms.storage.database import migrate
from csms.storage.memory import MemoryRecords

_ROUNDS, _TIMES = 100, 50
_TOGETHER = 50  # Units in one commit.
_MESSAGES = {
    "1.6 Heartbeat": (Version.V16, work.heartbeats),
    "1.6 StatusNotification": (Version.V16, work.statuses_16),
    "1.6 MeterValues": (Version.V16, work.meter_values_16),
    "2.0.1 TransactionEvent": (Version.V201, work.updates_201),
}


class _Wire:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent = data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None


class _Kept:
    """A commit that is over at once."""

    def add_done_callback(self, settled: Callable[[_Kept], None]) -> None:
        settled(self)

    def exception(self) -> None:
        return None


class _Bench:
    """A station in conversation over records in memory, one message after the other."""

    def __init__(self, version: Version):
        self.version = version
        self.records = MemoryRecords()
        known = self.records.add_station("CS-1", registration="accepted")
        self.gateway = Gateway(self.records, vault=None)
        self.station = Station(known.id, 1, "default", "CS-1")
        self.station.registration = "accepted"
        self.gateway.stations[1] = self.station
        self.link, self.wire = Link(self.gateway), _Wire()
        self.link._transport = self.wire
        self.link.open(b"", self.station, version, deflate=False, max_size=1 << 20)
        self.station.link, self.link.announced = self.link, True

    def context(self) -> Context:
        return Context(self.station, self.version, datetime.now(UTC), self.records, Policy())


def _best(step: Callable[[int], Any]) -> float:
    """µs of one call of `step(number)`, of the best round."""
    best = 1e9
    for turn in range(_ROUNDS):
        begin = thread_time()
        for number in range(turn * _TIMES, (turn + 1) * _TIMES):
            step(number)
        best = min(best, thread_time() - begin)
    return 1e6 * best / _TIMES


async def _messages(bench: _Bench, talk: work.Talk) -> list[bytes]:
    """As many calls as are needed; those that must be answered for the next one are said for real."""
    said = [next(talk)]
    while len(said) < _ROUNDS * _TIMES + 1:
        if b"StartTransaction" in said[-1] or b'"Started"' in said[-1]:
            bench.link.data_received(frame(said.pop()))
            for _ in range(10):
                await asyncio.sleep(0)
            said.append(talk.send(bench.wire.sent[2:]))
        said.append(talk.send(b""))
    return said


async def _measure(name: str, version: Version, talk: Callable[[], work.Talk], folder: Path) -> dict[str, float]:
    bench = _Bench(version)
    bench.records.add_token(1, _token())
    calls = await _messages(bench, talk())
    frames = [frame(each) for each in calls]
    socket, peer = WebSocket(max_size=1 << 20), Peer(version)
    parsed = [peer.receive(each, 0.0) for each in calls]
    action = actions(version)[parsed[0].action]
    payloads = [bytes(each.payload) for each in parsed]
    contexts = [bench.context() for _ in range(len(calls))]

    def handle(number: int) -> None:
        with suppress(StopIteration):
            answer(parsed[number], contexts[number]).send(None)

    costs = {
        "WebSocket in": _best(lambda number: socket.receive(frames[number])),
        "frame": _best(lambda number: peer.receive(calls[number], 0.0)),
        "decode": _best(lambda number: tolerance.decode(action, payloads[number])),
    }
    costs["handle, encode"] = _best(handle) - costs["decode"]
    costs["WebSocket out"] = _best(lambda number: socket.frame(b'[3,"123456",{}]'))
    bench.records.commit = lambda unit: _Kept()
    whole = _best(lambda number: bench.link.data_received(frames[number]))
    units = [context.work for context in contexts if context.work is not None]
    if units:
        costs |= await _storing(units, folder / f"{name.replace(' ', '-')}.db")
    costs["link, turn"] = max(0.0, whole - sum(costs[step] for step in _IN_LINK))
    return costs


_IN_LINK = ("WebSocket in", "frame", "decode", "handle, encode", "WebSocket out")


async def _storing(units: list[Unit], path: Path) -> dict[str, float]:
    migrate(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA foreign_keys=ON")
        database.execute("INSERT INTO operators (id, name) VALUES (1, 'default')")
        database.execute(
            "INSERT INTO stations (id, operator_id, identity, created_at) VALUES (1, 1, 'CS-1', 0)",
        )
        groups = [units[start : start + _TOGETHER] for start in range(0, len(units) - _TOGETHER, _TOGETHER)]
        rows, sql, sync = [], [], []
        for group in groups:
            begin = thread_time()
            steps = sqlite._steps([(unit, None) for unit in group])
            made = thread_time()
            database.execute("BEGIN IMMEDIATE")
            sqlite._write(database, steps)
            written = thread_time()
            database.execute("COMMIT")
            rows.append(made - begin)
            sql.append(written - made)
            sync.append(thread_time() - written)
    return {
        step: 1e6 * sorted(times)[len(times) // 10] / _TOGETHER
        for step, times in (("unit to rows", rows), ("SQL", sql), ("commit, sync (CPU)", sync))
    }


def _token() -> Any:
    from csms.domain.tokens import Token

    return Token(work.TOKEN)


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="steps-", dir=Path("build").resolve()) as folder:
        found = {name: await _measure(name, *how, Path(folder)) for name, how in _MESSAGES.items()}
    steps = ["WebSocket in", "frame", "decode", "link, turn", "handle, encode", "unit to rows", "SQL", "commit, sync (CPU)",
             "WebSocket out"]  # fmt: skip
    print("| µs a message | " + " | ".join(found) + " |\n| --- |" + " --: |" * len(found))
    for step in steps:
        print(
            f"| {step} | "
            + " | ".join(f"{costs[step]:.1f}" if step in costs else "" for costs in found.values())
            + " |"
        )
    print("| together | " + " | ".join(f"{sum(costs.values()):.1f}" for costs in found.values()) + " |")


if __name__ == "__main__":
    Path("build").mkdir(exist_ok=True)
    asyncio.run(_main())
