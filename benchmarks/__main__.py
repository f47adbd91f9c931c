"""Our server and the baseline on the same work, in one run: `python -m benchmarks [--quick] [--only WORD]`."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import uvloop

from benchmarks import machine, measures, report, work
from benchmarks.measures import FULL, QUICK, Figure, Plan
from benchmarks.report import Line
from benchmarks.servers import (
    CLIENT_CORE,
    Server,
    allow_connections,
    baseline_server,
    our_server,
    pin,
    server_on_postgres,
)  # fmt: skip
from benchmarks.stations import BenchmarkError
from tests.live.broker import Broker

_BILLING = "paced transactions 2,000/s"
_ON_POSTGRES = ("1.6 StatusNotification", "1.6 MeterValues", "2.0.1 TransactionEvent 1:8:1")
_FOLLOWED = "2,000/s, station's bytes to"
_MOST_LOST = 0.02  # Of the answers, for which a row is written just outside the measurement.


class Run:
    """One run of all measurements that are wanted; tells of each line as soon as it is there."""

    def __init__(self, plan: Plan, only: str, folder: Path, with_baseline: bool):
        self.plan = plan
        self._only = only.lower()
        self._folder = folder
        self._with_baseline = with_baseline
        self.lines: list[Line] = []

    async def measure(self) -> None:
        plan = self.plan
        with self._servers("throughput") as (ours, baseline):
            for kind in filter(lambda kind: self._wants(kind.name), work.SATURATED):
                before = ours.rows()
                figure = await measures.saturated(ours, kind, plan)
                _check_kept(kind.name, figure, before, ours.rows())
                self._add(kind.name, figure, baseline and await measures.saturated(baseline, kind, plan), kind.budget)
            if self._wants("connect and boot"):
                mine = await measures.arrivals(ours, plan)
                self._add("connect and boot", mine, baseline and await measures.arrivals(baseline, plan))
            for name, talk, rate in (
                (f"paced mixture {measures.PACED_RATE}/s", work.day_16, measures.PACED_RATE),
                (_BILLING, work.billing_16, measures.BILLING_RATE),
            ):
                if self._wants(name):
                    mine = await measures.paced(ours, talk, rate, plan)
                    theirs = name != _BILLING  # More than the baseline can answer.
                    self._add(
                        name, mine, await measures.paced(baseline, talk, rate, plan) if baseline and theirs else None
                    )
        await self._measure_postgres()
        await self._measure_followed()
        name = f"memory a connection, {plan.idle:,} idle"
        if self._wants(name):
            with self._servers("memory") as (ours, baseline):
                self._add(name, await measures.weighed(ours, plan), baseline and await measures.weighed(baseline, plan))

    async def _measure_postgres(self) -> None:
        kinds = [kind for kind in work.SATURATED if kind.name in _ON_POSTGRES and self._wants(_on_postgres(kind.name))]
        if not kinds:
            return
        folder = self._folder / "postgres"
        folder.mkdir()
        theirs = {line.name: line.baseline for line in self.lines}
        names = measures.station_names(measures.needed(self.plan))
        async with server_on_postgres(folder, names) as server:
            for kind in kinds:
                figure = await measures.saturated(server, kind, self.plan)
                self._add(_on_postgres(kind.name), figure, theirs.get(kind.name), kind.budget)

    async def _measure_followed(self) -> None:
        if not self._wants(_FOLLOWED):
            return
        folder = self._folder / "followed"
        folder.mkdir()
        broker = Broker(folder)
        broker.start()
        names, key = measures.station_names(measures.needed(self.plan)), secrets.token_hex(16)
        try:
            with our_server(folder, names, CSMS_MQTT_URL=broker.url, CSMS_ADMIN_KEY=key) as server:
                for name, figure in (await measures.followed(server, broker.url, key, self.plan)).items():
                    self._add(f"{_FOLLOWED} {name}", figure)
        finally:
            broker.kill()

    def _wants(self, name: str) -> bool:
        return self._only in name.lower()

    def _add(self, *line: Any) -> None:
        self.lines.append(Line(*line))
        print("  ".join(report.cells(self.lines[-1])), file=sys.stderr, flush=True)

    @contextmanager
    def _servers(self, purpose: str) -> Iterator[tuple[Server, Server | None]]:
        folder = self._folder / purpose
        folder.mkdir()
        with ExitStack() as stack:
            ours = stack.enter_context(our_server(folder, measures.station_names(measures.needed(self.plan))))
            yield ours, stack.enter_context(baseline_server(folder)) if self._with_baseline else None


def _on_postgres(name: str) -> str:
    return f"PostgreSQL: {name}"


def _check_kept(name: str, figure: Figure, before: dict[str, int], after: dict[str, int]) -> None:
    """What was answered is in the database; otherwise the figure counts answers, not work."""
    table, per_row = {
        "1.6 MeterValues": ("samples", 1),
        "1.6 StatusNotification": ("outbox", 1),
        "1.6 Start and StopTransaction": ("sessions", 2),
        "2.0.1 StatusNotification": ("outbox", 1),
        "2.0.1 TransactionEvent Updated": ("samples", 1),
        "2.0.1 TransactionEvent Started, Ended": ("samples", 1),
        "2.0.1 TransactionEvent 1:8:1": ("samples", 1),
    }.get(name, ("", 1))
    if table and (after[table] - before[table]) * per_row < figure.messages * (1 - _MOST_LOST):
        kept = after[table] - before[table]
        raise BenchmarkError(f"{name}: {figure.messages} messages were answered, but {kept} rows of {table} were kept")


def _notes(facts: dict[str, Any], plan: Plan) -> list[str]:
    versions = ", ".join(f"{name} {facts[name]}" for name in ("websockets", "ocpp", "msgspec", "uvloop", "sqlite"))
    return [
        f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}; {versions}.",
        "Messages per server CPU-second, all threads, user and system (in brackets: CPU time a message); the server on "
        f"core 0, the client on core 1; {plan.connections} connections, each with one call under way.",
        f"Durable before answered: SQLite, synchronous=FULL, on {facts['file_system']} ({facts['sync_ms']} ms a sync). "
        "The baseline stores nothing.",
        "PostgreSQL: its own defaults (fsync and synchronous_commit on), on the client's core; its CPU time is not counted.",
        "Events: one subscriber over MQTT (mosquitto, QoS 1) and one by server-sent events at the same time; from the "
        "call's bytes to the event decoded.",
        "Limits: 20 messages/s a station off; pings every 30 s, size, queue and handshake limits on; log from warnings "
        "on; each station has a password.",
        f"Paced: {plan.paced_stations:,} stations, latency counted from when a call was due. Mixture: 6 MeterValues, "
        "2 StatusNotifications, 2 Heartbeats, a start and a stop.",
        f"Other processes used {facts['others_busy']:.0%} of the machine meanwhile.",
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than a minute; figures are rough")
    parser.add_argument("--only", default="", metavar="WORD", help="measurements whose name contains it")
    parser.add_argument("--no-baseline", action="store_true", help="our server only")
    parser.add_argument("--data", type=Path, default=Path("build"), help="folder on a disk, for database and results")
    return parser.parse_args()


def main() -> int:
    given = _arguments()
    plan = QUICK if given.quick else FULL
    allow_connections()
    pin(CLIENT_CORE)
    given.data.mkdir(parents=True, exist_ok=True)
    begin = monotonic()
    try:
        facts = machine.facts(given.data)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=given.data.resolve()) as folder:
            run = Run(plan, given.only, Path(folder), not given.no_baseline)
            busy = machine.busy_seconds()
            uvloop.run(run.measure())
            spent, seconds = machine.busy_seconds() - busy, monotonic() - begin
    except BenchmarkError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    own = sum(os.times()[:4])  # This process and the servers it has waited for.
    facts["others_busy"] = max(0.0, spent - own) / (seconds * facts["cores"])
    facts["quick"], facts["seconds"] = given.quick, round(seconds)
    notes = _notes(facts, plan)
    print("\n" + report.plain(run.lines, notes))
    results = given.data / "bench.json"
    results.write_text(json.dumps(report.as_json(run.lines, facts), indent=2) + "\n")
    results.with_suffix(".md").write_text(report.markdown(run.lines, notes))
    print(f"\nWritten: {results} and {results.with_suffix('.md')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
