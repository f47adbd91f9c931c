"""A large network on this machine: connect, hold, storm, measure. `python -m benchmarks.scale --stations 50000`.

Server and fleet share the machine; each is measured on its own. The ramp goes in steps, no faster than the server takes
stations in, and stops by itself: when memory runs short, when nobody comes any more, or when its time is over. What it
came to is printed, and written down, step by step.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks import machine
from benchmarks.listener import EventListener
from benchmarks.network import Place, imported, network_file, place
from benchmarks.processes import Kernel, cpu, kernel, memory, tree
from benchmarks.servers import allow_connections
from benchmarks.stations import BenchmarkError
from simulators.incidents import Incident
from simulators.processes import State, Upto, Word, drive_in
from simulators.runs import Run

_A_PROCESS = 16_000  # Stations of a worker, or of a process of the fleet: below the descriptors that one may have.
_MOST_WORKERS = 64  # Of one server.
_SETTLED = 10  # s after the last station came, before the hold begins.
_BACK = 0.99  # Of the stations: then a storm is over.
_STALLED = 60  # s without another station: the ramp has come as far as it comes.
_SETTLED_STEP = 3  # s after the last station, for its last messages.
_STRAGGLERS = 100  # One of so many of a step may still be trying when the next one begins.


@dataclass
class Mark:
    """What had been used, and how far the fleet was, at a moment."""

    at: float
    state: State
    server_cpu: float
    fleet_cpu: float
    others_cpu: float  # Database and broker.
    server_memory: int = 0
    fleet_memory: int = 0
    others_memory: int = 0
    kernel: Kernel = field(default_factory=kernel)


@dataclass(frozen=True)
class Bounds:
    """When a phase ends. Bytes and s."""

    step: int  # Stations that are let in before what they took is looked at.
    keep_free: int
    ramp: float
    hold: float
    storm: float


class Watcher:
    """Takes the fleet from one phase to the next, and marks what was used at each end."""

    def __init__(self, where: Place, listener: EventListener, bounds: Bounds, progress: Path):
        self._where = where
        self._listener = listener
        self._bounds = bounds
        self._progress = progress  # Each step, as soon as it is done: what was reached outlives whatever comes.
        self._phase, self._since = "begin", monotonic()
        self._upto = 0
        self._grown = (0, monotonic())  # Most stations so far, and since when.
        self.marks: dict[str, Mark] = {}
        self.why = "all stations connected"
        self.steps: list[dict[str, float]] = []
        self._before_storm = 0
        self.back_after: float | None = None  # s
        self.lowest = 0  # Connected in the storm.

    def __call__(self, now: State) -> Word | Upto | Incident | None:
        print(
            f"{self._phase:6} {now.seconds:5.0f} s: {now.connected} of {now.stations} connected, {now.answered} answered",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        return getattr(self, f"_{self._phase}")(now)

    def mark(self, name: str, state: State | None = None) -> Mark:
        server, others = tree(self._where.server), [pid for each in self._where.others for pid in tree(each)]
        own = tree(os.getpid())
        fleet = [pid for pid in own if pid not in {*server, *others, os.getpid()}]
        state = state or State(0, 0, 0, 0, 0, 0)
        self.marks[name] = made = Mark(
            monotonic(), state, cpu(server), cpu(fleet), cpu(others), memory(server), memory(fleet), memory(others)
        )
        return made

    def _begin(self, now: State) -> Upto:
        """The fleet is there, and nobody connected."""
        self._last = self.mark("begin", now)
        self._next("ramp")
        return self._step(now)

    def _ramp(self, now: State) -> Word | Upto | None:
        if now.came > self._grown[0]:
            self._grown = (now.came, monotonic())
        silent = monotonic() - self._grown[1]
        there = self._upto < now.stations and now.came >= self._upto - self._bounds.step // _STRAGGLERS
        if there:
            self._note(now)
        why = self._why_no_more(now, silent, there)
        if why is None:
            return self._step(now) if there else None
        self.why = why
        if not there:
            self._note(now)
        self.mark("connected", now)
        self._next("settle")
        return Word.ENOUGH

    def _why_no_more(self, now: State, silent: float, there: bool) -> str | None:
        available = kernel().available
        if available < self._bounds.keep_free:
            return "memory ran short"
        if now.came >= now.stations:
            return self.why if silent > _SETTLED_STEP else None
        if silent > _STALLED:
            return f"no station more came within {_STALLED} s"
        if self._passed() > self._bounds.ramp:
            return f"the {self._bounds.ramp:.0f} s for the ramp were over"
        if there and available - self._took < self._bounds.keep_free:
            return "another step would not leave enough memory"
        return None

    def _step(self, now: State) -> Upto:
        self._grown = (now.came, monotonic())
        self._upto = min(now.stations, self._upto + self._bounds.step)
        return Upto(self._upto)

    def _note(self, now: State) -> None:
        """What the stations since the last note took."""
        last, self._last = self._last, self.mark("step", now)
        this, more = self._last, max(1, now.came - last.state.came)
        seconds = this.at - last.at
        self._took = max(0, last.kernel.available - this.kernel.available)
        self.steps.append({
            "stations": now.came, "connected": now.connected, "s": round(self._passed(), 1),
            "a_second": round(more / seconds),
            "cpu_ms_each": {
                name: round((getattr(this, f"{name}_cpu") - getattr(last, f"{name}_cpu")) / more * 1e3, 2)
                for name in ("server", "fleet", "others")
            },
            "bytes_each": {
                "server": (this.server_memory - last.server_memory) // more,
                "fleet": (this.fleet_memory - last.fleet_memory) // more,
                "kernel": (this.kernel.slab - last.kernel.slab) // more,
                "others": (this.others_memory - last.others_memory) // more,
            },
            "available_gb": round(this.kernel.available / 1e9, 2),
        })  # fmt: skip
        print(json.dumps(self.steps[-1]), file=sys.stderr, flush=True)
        self._progress.write_text(json.dumps(self.steps, indent=1) + "\n")

    _took = 0  # Bytes, by the last step.

    def _settle(self, now: State) -> None:
        if self._passed() > _SETTLED:
            self.mark("hold", now)
            self._next("hold")

    def _hold(self, now: State) -> Incident | None:
        if self._passed() < self._bounds.hold:
            return None
        self.mark("held", now)
        self._before_storm = self.lowest = now.connected
        self._next("storm")
        return Incident("all", now.seconds)

    def _storm(self, now: State) -> Word | None:
        self.lowest = min(self.lowest, now.connected)
        if now.connected >= _BACK * self._before_storm and self._passed() > 3:
            self.back_after = self._passed()
        elif self._passed() < self._bounds.storm:
            return None
        self.mark("back", now)
        self._next("end")
        return Word.END

    def _end(self, now: State) -> None:
        """The fleet says goodbye."""

    def _next(self, phase: str) -> None:
        self._phase, self._since = phase, monotonic()
        self._listener.phase = phase

    def _passed(self) -> float:
        return monotonic() - self._since


def measured(
    marks: dict[str, Mark], listener: EventListener, watcher: Watcher, summary: dict[str, Any]
) -> dict[str, Any]:
    """The figures, by phase."""
    names = ("before", "begin", "connected", "hold", "held", "back")
    before, begin, connected, hold, held, back = (marks[name] for name in names)
    stations = max(1, hold.state.connected)
    answered = held.state.answered - hold.state.answered
    spent = held.server_cpu - hold.server_cpu
    whole = {
        name: getattr(held, f"{name}_cpu") - getattr(hold, f"{name}_cpu") for name in ("server", "fleet", "others")
    }
    ramp = connected.at - begin.at
    return {
        "stations": hold.state.stations,
        "connected": hold.state.connected,
        "stopped_because": watcher.why,
        "connect_s": round(ramp, 1),
        "connects_a_second": round(connected.state.came / ramp),
        "connects_a_server_cpu_second": round(connected.state.came / (connected.server_cpu - begin.server_cpu)),
        "mb_before_anybody_connects": {
            "server": round(before.server_memory / 1e6), "database_and_broker": round(before.others_memory / 1e6),
            "fleet": round(begin.fleet_memory / 1e6),
        },
        "bytes_a_connection": {
            "server": round((hold.server_memory - begin.server_memory) / stations),
            "kernel_both_ends": round((hold.kernel.slab - begin.kernel.slab) / stations),
            "kernel_buffers": round((hold.kernel.tcp - begin.kernel.tcp) / stations),
            "fleet": round((hold.fleet_memory - begin.fleet_memory) / stations),
            "database_and_broker": round((hold.others_memory - begin.others_memory) / stations),
        },
        "memory_gb": {
            "server": round(held.server_memory / 1e9, 2), "fleet": round(held.fleet_memory / 1e9, 2),
            "database_and_broker": round(held.others_memory / 1e9, 2),
            "available_at_least": round(min(mark.kernel.available for mark in marks.values()) / 1e9, 2),
        },
        "hold": {
            "seconds": round(held.at - hold.at, 1),
            "messages_a_second": round(answered / (held.at - hold.at), 1),
            "messages_a_server_cpu_second": round(answered / spent) if spent else None,
            "cpu_share_of_a_core": {name: round(each / (held.at - hold.at), 3) for name, each in whole.items()},
        },
        "storm": {
            "lowest_connected": watcher.lowest,
            "seconds_to_99_percent_back": None if watcher.back_after is None else round(watcher.back_after, 1),
            "server_cpu_s": round(back.server_cpu - held.server_cpu, 1),
        },
        "answer_ms": {"p50": summary["latency_p50_ms"], "p99": summary["latency_p99_ms"]},
        "event_ms": listener.figures(),
        "answered": summary["answered"],
        "refused": summary["refused"],
        "errors": summary["errors"],
        "steps": watcher.steps,
    }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--stations", type=int, default=50_000)
    parser.add_argument("--workers", type=int, help="processes of the server; with one it runs on SQLite alone")
    parser.add_argument("--fleet", type=int, help="processes of the fleet")
    parser.add_argument("--ramp", type=float, default=2_000, help="stations that start to connect in a second at most")
    parser.add_argument("--at-once", type=int, default=400, help="handshakes of the ramp that are under way at most")
    parser.add_argument("--step", type=int, default=10_000, help="stations of one step of the ramp")
    parser.add_argument("--longest", type=float, default=3_600, help="seconds after which the ramp ends where it is")
    parser.add_argument("--longest-storm", type=float, default=900, help="seconds that are waited for all to be back")
    parser.add_argument("--hold", type=float, default=60, help="seconds between ramp and storm")
    parser.add_argument("--demand", type=float, default=1.0, help="1 is an average day, 3 a holiday")
    parser.add_argument("--keep-free", type=float, default=2.0, help="GB of memory at which the ramp stops")
    parser.add_argument("--data", type=Path, default=Path("build"), help="folder on a disk, for database and results")
    return parser.parse_args()


def _run(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    workers = given.workers or min(_MOST_WORKERS, -(-given.stations // _A_PROCESS))
    fleet = given.fleet or -(-given.stations // _A_PROCESS)
    file = network_file(folder, given.stations)
    with place(folder, workers) as where:
        print(f"importing {given.stations} stations …", file=sys.stderr, flush=True)
        seconds = imported(where, file)
        listener = EventListener(where.broker_port, where.broker_user, where.broker_password)
        bounds = Bounds(
            given.step, round(given.keep_free * 1e9), given.longest, given.hold, given.longest_storm
        )  # fmt: skip
        watcher = Watcher(where, listener, bounds, given.data / f"scale-{given.stations}-steps.json")
        watcher.mark("before")
        run = Run(
            url=where.url, stations=given.stations, version="mix", seconds=86_400, speed=1.0, ledger=None,
            beliefs=None, scenario=None, config=None, network=file, level=given.demand, incidents=(), operator=None,
            prefix="", seed=0, ramp=given.ramp, tokens=(), password=None, passwords=None, timeout=60.0, drain=5.0,
            end_sessions=False, at_once=max(1, given.at_once // fleet), upto=0,
        )  # fmt: skip
        with listener:
            summary = drive_in(run, fleet, watcher)
    figures = measured(watcher.marks, listener, watcher, summary)
    return {
        "workers": workers,
        "fleet_processes": fleet,
        "import_s": round(seconds, 1),
        "demand": given.demand,
    } | figures


def main() -> int:
    given = _arguments()
    allow_connections()
    given.data.mkdir(parents=True, exist_ok=True)
    try:
        facts = machine.facts(given.data)
        with tempfile.TemporaryDirectory(prefix="scale-", dir=given.data.resolve()) as folder:
            figures = _run(given, Path(folder))
    except BenchmarkError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    results = given.data / f"scale-{given.stations}.json"
    results.write_text(json.dumps({"machine": facts, "figures": figures}, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    print(f"Written: {results}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
