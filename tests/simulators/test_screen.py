"""What people see of a fleet and of an audit."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys

import pytest
from rich.console import Console

from simulators import screen
from simulators.audit import Finding, Report
from simulators.fleet import Fleet, Orders
from simulators.scenarios import Scenario, identity_of, throw_dice, version_of


@pytest.fixture
async def fleet() -> Fleet:
    plans = [throw_dice(Scenario(), identity_of(n, "SIM-"), version_of(n, "mix", 0.5)) for n in range(1, 4)]
    fleet = Fleet(plans, Orders("ws://127.0.0.1:1/ocpp", seconds=1.0))
    fleet.tally.refused["404"] += 2
    return fleet


async def watch_a_while(fleet: Fleet, how_long: float) -> None:
    watching = asyncio.create_task(screen.watch(fleet))
    await asyncio.sleep(how_long)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


async def test_where_there_is_no_terminal_plain_lines_come_now_and_then(fleet, monkeypatch, capsys):
    monkeypatch.setattr(screen, "LINE_EVERY", 0.01)
    await watch_a_while(fleet, 0.05)
    shown = capsys.readouterr()

    assert "0 of 3 stations connected" in shown.err
    assert shown.out == ""


async def test_on_a_terminal_a_table_lives(fleet, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(screen, "Console", lambda **_: Console(file=terminal, force_terminal=True, width=100))
    monkeypatch.setattr(screen, "FRAME_EVERY", 0.01)
    await watch_a_while(fleet, 0.05)

    assert "stations connected" in terminal.getvalue()
    assert "404: 2" in terminal.getvalue()


def test_a_report_shows_what_was_found_with_examples(monkeypatch):
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    report = Report(sessions=3, acknowledged=9)
    report.add(Finding.TWICE, "CS-1 transaction 7: 2 rows [ids 1, 2]")
    screen.show_report(report)

    assert "stored twice" in printed.getvalue()
    assert "2 rows [ids 1, 2]" in printed.getvalue()
