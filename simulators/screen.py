"""What people see: a running fleet (live on a terminal, plain lines elsewhere), the report of an audit."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

if TYPE_CHECKING:
    from simulators.audit import Report
    from simulators.fleet import Fleet

LINE_EVERY = 5.0
FRAME_EVERY = 0.5


async def watch(fleet: Fleet) -> None:
    """Show the fleet until cancelled. All of it goes to standard error: standard output is for results."""
    console = Console(stderr=True)
    if not console.is_terminal:
        await _lines(fleet)
        return
    with Live(_table(fleet), console=console, refresh_per_second=4, transient=True) as live:
        while True:
            await asyncio.sleep(FRAME_EVERY)
            live.update(_table(fleet))


async def _lines(fleet: Fleet) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY)
        print(_line(fleet), file=sys.stderr, flush=True)


def _line(fleet: Fleet) -> str:
    tally = fleet.tally
    opened, running = _sessions(fleet)
    return (
        f"{fleet.seconds:.0f} s: {tally.connected} of {len(fleet.stations)} stations connected, "
        f"{tally.answered} messages answered, {opened} sessions ({running} charging), "
        f"{fleet.unacknowledged} messages owed" + (", ending" if fleet.ending else "")
    )


def _table(fleet: Fleet) -> Table:
    tally = fleet.tally
    opened, running = _sessions(fleet)
    p50, p99 = tally.latency_ms(0.5, 0.99)
    table = Table.grid(padding=(0, 2))
    table.add_row("ending" if fleet.ending else "running", ProgressBar(fleet.orders.seconds, fleet.seconds, width=40))
    table.add_row("stations connected", f"{tally.connected} of {len(fleet.stations)}")
    table.add_row("messages answered", f"{tally.answered} of {tally.sent}")
    table.add_row("latency p50, p99", f"{p50} ms, {p99} ms")
    table.add_row("sessions", f"{opened}, {running} of them charging")
    table.add_row("messages owed", f"{fleet.unacknowledged}")
    table.add_row("reconnects", f"{tally.reconnects}")
    table.add_row("handshakes refused", _counts(tally.refused))
    table.add_row("errors answered", _counts(tally.errors))
    return table


def _sessions(fleet: Fleet) -> tuple[int, int]:
    opened = sum(len(station.sessions) for station in fleet.stations)
    running = sum(outlet.session is not None for station in fleet.stations for outlet in station.outlets)
    return opened, running


def _counts(counter: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counter.items()) or "none"


def show_report(report: Report) -> None:
    """The report of an audit, on standard output."""
    console = Console()
    table = Table(title="What was acknowledged, and what is stored")
    table.add_column("finding")
    table.add_column("how many", justify="right")
    for name, count in report.plain()["findings"].items():
        table.add_row(name.replace("_", " "), str(count), style="bold red" if count else None)
    console.print(table)
    console.print(
        f"{report.sessions} sessions, {report.samples} readings, "
        f"{report.acknowledged} messages acknowledged, {report.unacknowledged} not."
    )
    for finding, examples in report.examples.items():
        console.print(f"[bold]{finding.value.replace('_', ' ')}[/]")
        for example in examples:
            console.print(f"  {example}", markup=False, highlight=False)
