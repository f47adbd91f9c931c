"""A station's coming: one look-up, and one commit with what it says first."""

from __future__ import annotations

import asyncio

import pytest

from csms.domain.events import StationBooted, StationConnected, StationDisconnected
from csms.gateway import server as server_module
from tests.conftest import Server
from tests.gateway.test_turns import START


def told(server: Server) -> list[type]:
    return [type(event) for event in server.records.events]


async def test_coming_of_a_station_is_kept_in_one_commit_with_its_boot(quick: Server):
    client = await quick.connect()
    quick.records.hold()
    await client.send("BootNotification", {"chargePointVendor": "Vendor", "chargePointModel": "Model"})
    await quick.until(lambda: quick.records.held)
    assert quick.records.held == 1
    quick.records.release()
    await client.receive()
    assert told(quick) == [StationConnected, StationBooted]


async def test_coming_is_kept_with_a_first_message_that_changes_nothing(quick: Server):
    client = await quick.connect()
    assert "currentTime" in await client.call("Heartbeat")
    assert told(quick) == [StationConnected]
    await client.call("Heartbeat")
    assert told(quick) == [StationConnected]


async def test_coming_of_a_silent_station_is_told_by_itself(quick: Server, monkeypatch):
    monkeypatch.setattr(server_module, "_FIRST_WORD", 0.01)
    await quick.connect()
    await quick.until(lambda: told(quick) == [StationConnected])


@pytest.mark.parametrize("first", ["NoSuchAction", "BootNotification"])
async def test_coming_is_told_though_the_first_message_is_refused(quick: Server, monkeypatch, first):
    monkeypatch.setattr(server_module, "_FIRST_WORD", 0.01)
    client = await quick.connect(version="2.0.1")
    answer = await client.call(first)
    assert answer[0] == 4
    await quick.until(lambda: told(quick) == [StationConnected])


async def test_desk_is_told_once_that_a_station_has_come_and_booted(quick: Server):
    ready: list[int] = []
    quick.gateway.ready = ready.append
    await (await quick.connect()).boot()
    await quick.until(lambda: ready)
    assert ready == [1]


async def test_station_that_leaves_before_a_word_was_here(quick: Server, monkeypatch):
    monkeypatch.setattr(server_module, "_FIRST_WORD", 0.01)
    client = await quick.connect()
    await client.socket.close()
    await quick.until(lambda: not quick.gateway.stations)
    await asyncio.sleep(0.02)
    assert told(quick)[-1] is StationDisconnected


async def test_what_was_read_before_a_stations_last_work_was_kept_is_read_again(server: Server, monkeypatch):
    """Else the station would come back with the counter of its transactions as it was before."""
    first = await server.connect()
    await first.boot()
    known, read, go = server.records.known, asyncio.Event(), asyncio.Event()

    async def early(*place):
        found = await known(*place)
        read.set()
        await go.wait()
        return found

    monkeypatch.setattr(server.records, "known", early)
    second = asyncio.create_task(server.connect())
    await read.wait()
    assert (await first.call("StartTransaction", START))["transactionId"] == 1
    await first.socket.close()
    await server.until(lambda: not server.gateway.stations)
    monkeypatch.setattr(server.records, "known", known)
    go.set()
    again = await second
    later = {"timestamp": "2026-05-04T13:00:00Z", "connectorId": 2}
    assert (await again.call("StartTransaction", START | later))["transactionId"] == 2
