"""One run of a fleet, as ordered on the command line: whom it drives, and what is left of it at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from simulators import national, scenarios
from simulators.demand import Demand
from simulators.fleet import Fleet, Orders, default_tokens
from simulators.incidents import incident
from simulators.ledger import Ledger
from simulators.national import Part
from simulators.network import read_country
from simulators.scenarios import Scenario, ScenarioError, StationPlan


class Run(msgspec.Struct, kw_only=True):
    """What was ordered. It travels to the processes that each drive a part of it."""

    url: str
    stations: int
    version: str
    seconds: float
    speed: float
    ledger: Path | None
    beliefs: Path | None
    scenario: str | None
    config: Path | None
    network: Path | None
    level: float  # Of demand: 1 is the average day.
    incidents: tuple[str, ...]
    operator: str | None
    prefix: str
    seed: int
    ramp: float
    tokens: tuple[str, ...]
    password: str | None
    passwords: Path | None
    timeout: float
    drain: float
    end_sessions: bool
    at_once: int = 500  # Handshakes of the ramp, in each process.
    upto: int | None = None  # Stations that connect before more are allowed; None: all.
    part: Part = Part()


def check(run: Run) -> None:
    """ScenarioError, LedgerError: what cannot be run, said before anything starts."""
    if too_long := [token for token in run.tokens if len(token) > 20]:
        raise ScenarioError(f"tokens have at most 20 characters in OCPP 1.6: {too_long[0]}")
    for text in run.incidents:
        incident(text)


def prepared(run: Run) -> tuple[list[StationPlan], Orders]:
    """The stations of this part, and how they are to run."""
    check(run)
    plans, tokens, demand = _national(run) if run.network is not None else _made_up(run)
    orders = Orders(
        url=run.url,
        seconds=run.seconds,
        speed=run.speed,
        ramp=run.ramp / run.part.of,
        at_once=run.at_once,
        upto=None if run.upto is None else run.part.share(run.upto),
        end_sessions=run.end_sessions,
        drain=run.drain,
        timeout=run.timeout,
        tokens=list(run.tokens) or tokens or default_tokens(),
        ledger=Ledger(_own(run.ledger, run.part)) if run.ledger is not None else None,
        demand=demand,
        incidents=tuple(map(incident, run.incidents)),
        addresses=_addresses(run, len(plans)),
    )
    return plans, orders


async def drive(run: Run, watched: Callable[[Fleet], Any]) -> Fleet:
    """Run this part to its end; `watched(fleet)` is a coroutine that shows it meanwhile."""
    plans, orders = prepared(run)
    _allow_sockets(len(plans))
    fleet = Fleet(plans, orders)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, fleet.stop)
    watching = asyncio.create_task(watched(fleet), name="fleet display")
    try:
        await fleet.run()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    if orders.ledger is not None:
        orders.ledger.close()
    if run.beliefs is not None:
        lines = (msgspec.json.encode(belief) + b"\n" for belief in fleet.beliefs())
        _own(run.beliefs, run.part).write_bytes(b"".join(lines))
    return fleet


def on_a_fast_loop(main: Any) -> Any:
    """Run on uvloop where there is one: it carries half as many stations again."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def identities(
    stations: int, prefix: str, version: str, dice: Scenario, part: Part | None = None
) -> Iterable[tuple[str, scenarios.Version]]:
    """(identity, version) of each station of a part."""
    if version not in ("1.6", "2.0.1", "mix"):
        raise ScenarioError(f"--version {version} is none of 1.6, 2.0.1, mix")
    part = part or Part()
    for number in range(1 + part.number, stations + 1, part.of):
        yield scenarios.identity_of(number, prefix), scenarios.version_of(number, version, dice.share_201)


def _made_up(run: Run) -> tuple[list[StationPlan], list[str], Demand]:
    dice = scenarios.load(run.config, run.scenario)
    known = _passwords(run.passwords)
    plans = [
        scenarios.throw_dice(
            dice, identity, spoken, operator=run.operator, password=known.get(identity, run.password), seed=run.seed
        )
        for identity, spoken in identities(run.stations, run.prefix, run.version, dice, run.part)
    ]
    return plans, [], Demand(level=run.level)


def _national(run: Run) -> tuple[list[StationPlan], list[str], Demand]:
    country = read_country(run.config)
    most = run.stations or None
    plans, tokens = national.read(run.network, country, part=run.part, most=most, seed=run.seed)
    return plans, tokens, national.demand_of(country.use, run.level)


def _passwords(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        return {line["station"]: line["password"] for line in lines if line.get("password") is not None}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ScenarioError(f'{path} has no lines of {{"station": …, "password": …}}: {error}') from error


def _own(path: Path, part: Part) -> Path:
    """Each part writes a file of its own: FILE, or FILE.1, FILE.2 …"""
    return path if part.of == 1 else path.with_name(f"{path.name}.{part.number + 1}")


def _addresses(run: Run, stations: int) -> int | None:
    """Where a large fleet connects from: loopback addresses of its own, where the system has them all (Linux)."""
    host = urlsplit(run.url).hostname or ""
    try:
        loopback = ip_address(host).is_loopback and ip_address(host).version == 4
    except ValueError:
        loopback = host == "localhost"
    if not loopback or not sys.platform.startswith("linux") or stations * run.part.of < 5_000:
        return None
    return 1 + run.part.number % 250


def _allow_sockets(stations: int) -> None:
    """Each station is a descriptor; take what the system grants."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = stations + 200
    if soft < wanted:
        granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
        if granted < wanted:
            print(
                f"only {granted} descriptors are allowed: raise `ulimit -n`, or use more --processes, for so many "
                "stations",
                file=sys.stderr,
            )
