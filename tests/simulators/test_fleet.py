"""Whole fleets, over real sockets, against the baseline central system."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from datetime import datetime

import pytest

from csms.ocpp.version import Version
from simulators.account import told_by
from simulators.fleet import Fleet, Orders, default_tokens
from simulators.ledger import Ledger, read
from simulators.scenarios import Scenario, identity_of, throw_dice, version_of

pytestmark = pytest.mark.journey

BUSY = Scenario(sessions_per_hour=200.0, session_energy_kwh=(0.5, 3.0), meter_interval_s=30.0, outages_per_hour=0.0)


def plans(how_many: int, scenario: Scenario = BUSY, version: str = "mix") -> list:
    return [
        throw_dice(scenario, identity_of(number, "SIM-"), version_of(number, version, 0.5))
        for number in range(1, how_many + 1)
    ]


class Proxy:
    """The way to a server, which can end or hang without the server's doing."""

    def __init__(self, port: int):
        self._port = port
        self._through = True
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._guest, "127.0.0.1", 0)
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ocpp"

    async def _guest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, to_behind = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += writer, to_behind
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._carry(reader, to_behind), self._carry(behind, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._through:
                writer.write(data)

    def hang(self) -> None:
        self._through = False

    def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()


async def test_a_fleet_charges_and_ends_with_nothing_owed(baseline_url, tmp_path):
    ledger = Ledger(tmp_path / "ledger.ndjson")
    fleet = Fleet(plans(20), Orders(baseline_url, seconds=1.0, speed=200.0, ramp=1000.0, ledger=ledger))
    await fleet.run()
    ledger.close()
    summary = fleet.summary()

    assert summary["stations_connected"] == summary["stations_connected_at_end"] == 20
    assert summary["sessions_opened"] == summary["sessions_closed"] == summary["sessions_acknowledged"] > 0
    assert summary["unacknowledged"] == 0
    assert summary["errors"] == summary["refused"] == {}
    assert summary["energy_wh"] > 0
    assert summary["latency_p50_ms"] > 0
    account = told_by(read(ledger.path))
    assert len(account.sessions) == summary["sessions_opened"]
    assert account.unacknowledged == 0


async def test_its_timestamps_are_never_from_the_future(baseline_url, tmp_path):
    ledger = Ledger(tmp_path / "ledger.ndjson")
    fleet = Fleet(plans(10), Orders(baseline_url, seconds=0.6, speed=300.0, ramp=1000.0, ledger=ledger))
    await fleet.run()
    ledger.close()

    for belief in fleet.beliefs():
        assert belief["started_at"] <= belief["ended_at"]
        assert belief["ended_at"].timestamp() < time.time()
    for line in read(ledger.path):
        if line.kind == "sent":
            sent = datetime.fromtimestamp(line.at).astimezone()
            for session in told_by([line]).sessions:
                assert all(sample.at <= sent.timestamp() * 1e6 for sample in session.samples)


async def test_a_fleet_that_loses_its_links_owes_nothing_either(baseline_url):
    rough = Scenario(
        sessions_per_hour=200.0, session_energy_kwh=(0.5, 3.0), meter_interval_s=30.0, fault_share=0.2,
        outages_per_hour=60.0, outage_s=(5.0, 30.0),
    )  # fmt: skip
    fleet = Fleet(plans(20, rough), Orders(baseline_url, seconds=1.5, speed=200.0, ramp=1000.0))
    await fleet.run()
    summary = fleet.summary()

    assert summary["reconnects"] > 0
    assert summary["unacknowledged"] == 0
    assert summary["sessions_acknowledged"] == summary["sessions_closed"] > 0


async def test_stopping_ends_a_run_at_once_and_gracefully(baseline_url):
    fleet = Fleet(plans(5), Orders(baseline_url, seconds=600.0, speed=100.0, ramp=1000.0))
    running = asyncio.create_task(fleet.run())
    async with asyncio.timeout(10):
        while not fleet.summary()["sessions_opened"]:
            await asyncio.sleep(0.01)
        fleet.stop()
        await running

    assert fleet.seconds < 10
    assert fleet.summary()["unacknowledged"] == 0


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "hanging"])
async def test_a_server_that_goes_away_for_good_does_not_hold_up_the_end(baseline, gone):
    """Either it is gone, and its port refuses, or it hangs: it takes every byte and answers none."""
    server = await baseline.start_baseline()
    port = server.sockets[0].getsockname()[1]
    proxy = Proxy(port)
    url = await proxy.start()
    fleet = Fleet(plans(6), Orders(url, seconds=1.0, speed=200.0, ramp=1000.0, drain=0.6))
    running = asyncio.create_task(fleet.run())
    async with asyncio.timeout(10):
        while not fleet.summary()["sessions_acknowledged"]:
            await asyncio.sleep(0.01)
        if gone:
            proxy.stop()
        else:
            proxy.hang()
        await running
    server.close()
    proxy.stop()
    summary = fleet.summary()

    assert summary["seconds"] <= 1.0 + 0.6 + 0.4
    assert summary["unacknowledged"] > 0
    assert summary["sessions_acknowledged"] < summary["sessions_closed"] == summary["sessions_opened"]
    assert fleet.tally.connected == 0


async def test_where_nobody_listens_nobody_connects():
    fleet = Fleet(plans(2), Orders("ws://127.0.0.1:1/ocpp", seconds=0.2, ramp=1000.0, drain=0.1))
    await fleet.run()

    assert fleet.tally.ever_connected == 0
    assert fleet.summary()["refused"] == {"ConnectionRefusedError": 2}


def test_the_tokens_of_a_fleet_fit_into_16():
    assert default_tokens()[0] == "SIM-TOKEN-0001"
    assert default_tokens()[-1] == "SIM-TOKEN-0100"
    assert max(len(token) for token in default_tokens()) <= 20


def test_versions_in_a_mixed_fleet():
    assert {plan.version for plan in plans(4)} == {Version.V16, Version.V201}


async def test_the_ramp_is_no_faster_than_the_server_shakes_hands():
    arrived = asyncio.Queue()
    server = await asyncio.start_server(lambda reader, writer: arrived.put((reader, writer)), "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
    fleet = Fleet(plans(10), Orders(url, seconds=60, ramp=1000, drain=0, at_once=3))
    run = asyncio.create_task(fleet.run())
    async with asyncio.timeout(10):
        guests = [await arrived.get() for _ in range(3)]
        reader, writer = guests[0]
        await reader.readuntil(b"\r\n\r\n")
        assert arrived.empty()
        writer.write(b"HTTP/1.1 404 Unknown\r\nContent-Length: 0\r\n\r\n")  # One is answered: another comes.
        guests.append(await arrived.get())
        fleet.stop()
        await run
    for _, writer in guests:
        writer.close()
    server.close()


async def test_stations_come_as_far_as_they_are_allowed_to(baseline_url):
    fleet = Fleet(plans(10), Orders(baseline_url, seconds=60, ramp=1000, drain=0, upto=4))
    run = asyncio.create_task(fleet.run())
    async with asyncio.timeout(10):
        for allowed in (4, 7):
            fleet.allow(allowed)
            while fleet.tally.ever_connected < allowed:
                await asyncio.sleep(0.01)
        assert fleet.tally.ever_connected == 7
        fleet.stop()
        await run


async def test_no_address_of_a_large_fleet_is_asked_for_more_ports_than_it_finds_quickly(monkeypatch):
    monkeypatch.setattr("simulators.fleet.PER_ADDRESS", 4)
    fleet = Fleet(plans(10), Orders("ws://127.0.0.1:1/ocpp", seconds=0, addresses=7))
    taken = Counter(fleet._address() for _ in range(30))  # Each station connects, and twice more.
    assert set(taken.values()) == {10} and set(taken) == {"127.0.7.1", "127.0.7.2", "127.0.7.3"}
