"""`csms demo`: a server and a fleet of simulated stations charging on it, ending with the auditor's verdict."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from csms.app import serve
from csms.cli.client import Client, CommandError
from csms.domain.credentials import new_password
from csms.settings import Settings, load_settings
from csms.storage.place import control_path, sqlite_path

TOKENS = [f"SIM-TOKEN-{number:04}" for number in range(1, 101)]  # What simulated drivers carry.
_CHUNK = 1000


@dataclass(frozen=True)
class Demo:
    """One demonstration: how many stations, for how long, how many simulated seconds in a real one."""

    stations: int
    seconds: float
    speed: float
    version: str
    directory: Path
    show: bool  # To a person: the fleet's live display goes to the terminal.

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger.ndjson"

    @property
    def passwords(self) -> Path:
        return self.directory / "passwords.ndjson"


@contextlib.contextmanager
def directory(wanted: Path | None) -> Iterator[Path]:
    """Where the demonstration keeps its data: a new empty place, or the one that was asked for and stays."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        if any(wanted.iterdir()):
            raise CommandError(f"{wanted} is not empty: name a new folder for the demonstration's data.")
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="csms-demo-") as made:
        yield Path(made)


async def run(demo: Demo, say: Callable[[str], None]) -> dict[str, Any]:
    """Start everything, let it run, take it down; the summary holds the auditor's `acknowledged_lost`."""
    settings = _settings(demo)
    stop = asyncio.Event()
    announced = asyncio.Event()

    def announce(line: str) -> None:
        say(line)
        if line.startswith("Data:"):
            announced.set()

    server = asyncio.create_task(serve(settings, announce, stop), name="demo-server")
    started = asyncio.create_task(announced.wait())
    await asyncio.wait({server, started}, return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        started.cancel()
        server.result()  # Raises what kept it from starting.
    try:
        await _prepare(demo, settings)
        say(
            f"Fleet:    {demo.stations} simulated stations for {demo.seconds:g} s, time running {demo.speed:g} times faster"
        )
        fleet = await _fleet(demo, settings, stop)
    finally:
        stop.set()
        await server
    verdict = await _audit(demo, settings)
    return {
        "stations_connected": fleet.get("stations_connected", 0),
        "messages": fleet.get("messages", 0),
        "sessions_opened": fleet.get("sessions_opened", 0),
        "sessions_closed": fleet.get("sessions_closed", 0),
        "energy_wh": fleet.get("energy_wh", 0),
        "acknowledged_lost": verdict["acknowledged_lost"],
        "audit": verdict,
        "fleet": fleet,
    }


def told(summary: dict[str, Any]) -> str:
    """The summary for people."""
    lost = summary["acknowledged_lost"]
    verdict = "nothing that was acknowledged is missing" if lost == 0 else f"{lost} acknowledged messages are MISSING"
    return (
        f"{summary['stations_connected']} stations, {summary['messages']} messages, {summary['sessions_opened']} sessions "
        f"({summary['sessions_closed']} ended), {summary['energy_wh'] / 1000:.1f} kWh.\nAudit: {verdict}."
    )


def _settings(demo: Demo) -> Settings:
    """The user's settings, on a database of its own and on free ports."""
    settings = load_settings(database_url=f"sqlite:///{demo.directory / 'csms.db'}", registration="closed")
    return settings.model_copy(
        update={
            "ocpp_port": _free_port(settings.ocpp_host, settings.ocpp_port),
            "http_port": _free_port(settings.http_host, settings.http_port),
        }
    )


def _free_port(host: str, wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            probe.bind((host, 0))
        return probe.getsockname()[1]


async def _prepare(demo: Demo, settings: Settings) -> None:
    """Make stations and drivers known; each station has a password of its own."""
    listing = await _simulator(
        "identities", "--stations", str(demo.stations), "--version", demo.version, "--scenario", "demo"
    )
    stations = [json.loads(line)["id"] for line in listing.splitlines()]
    passwords = {station: new_password() for station in stations}
    lines = [msgspec.json.encode({"id": station, "password": passwords[station]}) for station in stations]
    transport = httpx.AsyncHTTPTransport(uds=str(control_path(sqlite_path(settings.database_url))), verify=False)
    async with httpx.AsyncClient(base_url="http://csms", transport=transport, timeout=60) as http:
        client = Client(http)
        for start in range(0, len(lines), _CHUNK):
            await client.ask("POST", "/stations/import", content=b"\n".join(lines[start : start + _CHUNK]))
        for token in TOKENS:
            await client.ask("PUT", f"/tokens/{token}", json={})
    descriptor = os.open(demo.passwords, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for station, password in passwords.items():
            file.write(msgspec.json.encode({"station": station, "password": password}) + b"\n")


async def _fleet(demo: Demo, settings: Settings, stop: asyncio.Event) -> dict[str, Any]:
    """The fleet, a process of its own; ended early when the demonstration is."""
    url = f"ws://{settings.ocpp_host}:{settings.ocpp_port}{settings.ocpp_path.rstrip('/')}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", "run", "--url", url, "--stations", str(demo.stations),
        "--version", demo.version, "--for", str(demo.seconds), "--speed", str(demo.speed),
        "--scenario", "demo", "--ledger", str(demo.ledger), "--passwords", str(demo.passwords), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=None if demo.show else asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches us alone: the fleet is then ended in order.
    )  # fmt: skip
    told = asyncio.create_task(process.communicate())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({told, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not told.done():
        # The server is going down already: stations keep what it did not acknowledge.
        process.terminate()
    stopped.cancel()
    out, _ = await told
    lines = out.decode().strip().splitlines()
    if not lines:
        raise CommandError("The fleet ended without a summary.")
    return json.loads(lines[-1])


async def _audit(demo: Demo, settings: Settings) -> dict[str, Any]:
    out = await _simulator(
        "audit", "--ledger", str(demo.ledger), "--database", settings.database_url, "--json", accept=(0, 1, 2)
    )
    return json.loads(out.strip().splitlines()[-1])


async def _simulator(*arguments: str, accept: tuple[int, ...] = (0,)) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    if process.returncode not in accept:
        raise CommandError(f"csms-sim {arguments[0]} failed: {errors.decode().strip()[-500:]}")
    return out.decode()
