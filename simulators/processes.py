"""One fleet over several processes, seen as one: a process drives a part, and tells how it goes once a second."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import msgspec

from simulators.fleet import Fleet
from simulators.histogram import Histogram
from simulators.incidents import Incident
from simulators.national import Part
from simulators.runs import Run, check, drive, on_a_fast_loop
from simulators.screen import LINE_EVERY

_TELL = 1.0  # s

_End = tuple[dict[str, Any], Histogram, "str | None"]  # (summary, latencies, why the last one was refused)

# Numbers of a summary that stand for the whole fleet when added up.
_SUMS = (
    "stations", "stations_connected", "stations_connected_at_end", "messages", "answered", "commands",
    "sessions_opened", "sessions_closed", "sessions_acknowledged", "energy_wh", "unacknowledged", "unanswered",
    "reconnects",
)  # fmt: skip


class ProcessLost(Exception):
    """A process of the fleet ended before its time."""


class State(NamedTuple):
    """How the whole fleet is doing."""

    seconds: float  # Real ones, since its start.
    connected: int
    stations: int
    answered: int
    owed: int
    came: int  # Stations that have been connected once.


@dataclass(frozen=True)
class Upto:
    """Let so many stations of the whole fleet connect; it began with `Run.upto`."""

    stations: int


class Word(Enum):
    """What whoever watches a fleet may have it do."""

    ENOUGH = auto()  # Connect no more stations.
    END = auto()  # End the run now, gracefully.


Watch = Callable[[State], "Word | Upto | Incident | None"]  # Told once a second.


def drive_in(run: Run, processes: int, watch: Watch | None = None) -> dict[str, Any]:
    """Drive the run in so many processes; the summary of all of them together. ProcessLost when one dies."""
    check(run)
    made = _context()
    pipes, children = [], []
    for number in range(processes):
        ours, theirs = made.Pipe()
        part = msgspec.structs.replace(run, part=Part(number, processes))
        child = made.Process(target=_child, args=(part, theirs), name=f"fleet-{number + 1}")
        child.start()
        theirs.close()
        pipes.append(ours)
        children.append(child)
    with _signals_passed_to(children):
        summaries = _followed(pipes, children, watch or _Lines())
    for child in children:
        child.join()
    return _sum(summaries)


def _context() -> Any:
    """How processes are made: where it can be, forked from one that has imported everything, so that they share it."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    made = multiprocessing.get_context("forkserver")
    spec = getattr(sys.modules["__main__"], "__spec__", None)  # Each child runs it anew: what it imports is shared.
    made.set_forkserver_preload([*([spec.name] if spec is not None else []), "simulators.preloaded"])
    return made


def _child(run: Run, pipe: Connection) -> None:
    fleet = on_a_fast_loop(drive(run, lambda fleet: _tell(fleet, run.part, pipe)))
    refusal = fleet.tally.last_refusal
    pipe.send(("end", fleet.summary(), fleet.tally.latencies, None if refusal is None else str(refusal)))
    pipe.close()


async def _tell(fleet: Fleet, part: Part, pipe: Connection) -> None:
    while True:
        await asyncio.sleep(_TELL)
        while pipe.poll():
            match pipe.recv():
                case Word.ENOUGH:
                    fleet.stop_ramp()
                case Word.END:
                    fleet.stop()
                case Upto(stations):
                    fleet.allow(part.share(stations))
                case Incident() as incident:
                    fleet.befall(incident)
        tally = fleet.tally
        state = State(
            fleet.seconds, tally.connected, len(fleet.stations), tally.answered, fleet.unacknowledged,
            tally.ever_connected,
        )  # fmt: skip
        pipe.send(("now", tuple(state)))


class _Lines:
    """Shows it as lines, now and then."""

    def __init__(self) -> None:
        self._told = 0.0

    def __call__(self, now: State) -> None:
        if now.seconds - self._told >= LINE_EVERY:
            self._told = now.seconds
            print(
                f"{now.seconds:.0f} s: {now.connected} of {now.stations} stations connected, {now.answered} messages "
                f"answered, {now.owed} messages owed",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def _followed(pipes: list[Connection], children: list[Any], watch: Watch) -> list[_End]:
    """Listen until every process has told its end."""
    told: dict[Connection, tuple] = {}
    ended: list[_End] = []
    open_, at = list(pipes), 0.0
    while open_:
        for pipe in wait(open_):
            try:
                kind, *rest = pipe.recv()
            except EOFError:
                child = children[pipes.index(pipe)]
                child.join()
                raise ProcessLost(
                    f"{child.name} ended with status {child.exitcode}: its own words stand above"
                ) from None
            if kind == "end":
                ended.append(tuple(rest))
                open_.remove(pipe)
            else:
                told[pipe] = rest[0]
        if open_ and len(told) == len(pipes) and (now := _whole(told)).seconds - at >= _TELL:
            at = now.seconds
            word = watch(now)
            for pipe in open_ if word is not None else ():
                pipe.send(word)
    return ended


def _whole(told: dict[Connection, tuple]) -> State:
    seconds, *counts = zip(*told.values(), strict=True)
    return State(max(seconds), *map(sum, counts))


def _sum(parts: list[_End]) -> dict[str, Any]:
    summaries = [summary for summary, _, _ in parts]
    whole: dict[str, Any] = {name: sum(summary[name] for summary in summaries) for name in _SUMS}
    for name in ("refused", "errors"):
        keys = {key for summary in summaries for key in summary[name]}
        whole[name] = {key: sum(summary[name].get(key, 0) for summary in summaries) for key in sorted(keys)}
    latencies = Histogram()
    for _, part, _ in parts:
        latencies.merge(part)
    for name, share in (("latency_p50_ms", 0.5), ("latency_p99_ms", 0.99)):
        whole[name] = round(latencies.quantile(share) * 1000, 2) if latencies.total else None
    whole["seconds"] = max(summary["seconds"] for summary in summaries)
    whole["processes"] = len(parts)
    whole["last_refusal"] = next((refusal for _, _, refusal in parts if refusal), None)
    return whole


@contextmanager
def _signals_passed_to(children: list[Any]) -> Iterator[None]:
    """Whoever ends the run ends it in every process, gracefully."""

    def passed(_number: int, _frame: Any) -> None:
        for child in children:
            if child.is_alive():
                child.terminate()

    before = {number: signal.signal(number, passed) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except BaseException:
        for child in children:
            child.terminate()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
