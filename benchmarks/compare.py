"""This checkout and another on the same work, in turn: `python -m benchmarks.compare FOLDER [--only WORD]`.

For a machine that is not quiet: slices of a second alternate between two running servers, so that what disturbs the
one disturbs the other, and the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import measures, work
from benchmarks.measures import QUICK, Figure
from benchmarks.servers import CLIENT_CORE, ROOT, Server, allow_connections, our_server, pin

_Measure = Callable[[Server], Awaitable[Figure]]


def _measurements() -> dict[str, _Measure]:
    found: dict[str, _Measure] = {
        kind.name: lambda server, kind=kind: measures.saturated(server, kind, QUICK) for kind in work.SATURATED
    }
    found["connect and boot"] = lambda server: measures.arrivals(server, QUICK)
    found["paced mixture"] = lambda server: measures.paced(server, work.day_16, measures.PACED_RATE, QUICK)
    return found


async def _compare(other: Path, only: str, rounds: int, folder: Path) -> None:
    stations = measures.station_names(100_000)
    (folder / "mine").mkdir()
    (folder / "other").mkdir()
    with our_server(folder / "mine", stations) as mine, our_server(folder / "other", stations, root=other) as theirs:
        for name, measure in _measurements().items():
            if only not in name.lower():
                continue
            costs = [(await measure(mine), await measure(theirs)) for _ in range(rounds)]
            ratio = median(there.cpu_ms / here.cpu_ms for here, there in costs)
            here, there = (median(pair[side].cpu_ms for pair in costs) * 1000 for side in (0, 1))
            print(f"{name:38} {here:6.0f} µs   other {there:6.0f} µs   {ratio:.2f} × as fast", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("other", type=Path, metavar="FOLDER", help="the other checkout")
    parser.add_argument("--only", default="", metavar="WORD", help="measurements whose name contains it")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--data", type=Path, default=ROOT / "build", help="folder on a disk")
    given = parser.parse_args()
    allow_connections()
    pin(CLIENT_CORE)
    given.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.data.resolve()) as folder:
        uvloop.run(_compare(given.other.resolve(), given.only.lower(), given.rounds, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
