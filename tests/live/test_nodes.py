"""Two nodes behind HAProxy, with real PostgreSQL and a real broker: whatever dies, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest
from websockets.asyncio.client import connect

from tests.journeys.processes import Fleet, ask, assert_sound
from tests.live.broker import Broker
from tests.live.stations import Station
from tests.live.topology import Topology
from tests.postgres import Postgres, running

pytestmark = pytest.mark.live
BACK_WITHIN = 90.0  # s
STATIONS = 40


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """To be killed: a server of this module's own."""
    with running() as server:
        yield server


@pytest.fixture
async def network(tmp_path: Path, postgres: Postgres, broker: Broker) -> AsyncIterator[Topology]:
    topology = Topology(tmp_path, postgres, broker)
    try:
        await topology.start()
        yield topology
    finally:
        await topology.stop()


@asynccontextmanager
async def station_on(network: Topology, node: int, identity: str = "CS-1") -> AsyncIterator[Station]:
    """Connected to this node, booted, and known to be."""
    url = f"{network.nodes[node].url}/{identity}"
    async with connect(url, subprotocols=["ocpp1.6"], ping_interval=None, close_timeout=1) as socket:
        station = Station(socket)
        await station.call("BootNotification", {"chargePointVendor": "Vendor", "chargePointModel": "Model"})
        yield station


async def reset(network: Topology, node: int, identity: str = "CS-1", **query: Any) -> tuple[int, dict[str, Any]]:
    async with network.http(node) as http:
        answer = await http.post(f"/api/v1/stations/{identity}/commands/Reset", json={"type": "Soft"}, params=query)
    return answer.status_code, answer.json()


async def online(network: Topology, identity: str = "CS-1") -> bool:
    async with network.http(1) as http:
        return (await http.get(f"/api/v1/stations/{identity}")).json()["online"]


async def events(network: Topology, identity: str = "CS-1") -> list[str]:
    rows = await ask(network.database, f"SELECT events FROM outbox WHERE station = '{identity}' ORDER BY id")
    return [event["type"] for (text,) in rows for event in json.loads(text)]


async def test_messages_are_read_on_the_node_that_holds_the_station(network: Topology):
    async with station_on(network, 1):
        async with network.http(1) as http:
            assert (await http.get("/api/v1/stations/CS-1/messages")).json()["items"][0]["action"] == "BootNotification"
        async with network.http(0) as http:
            for path in ("messages", "trace"):
                told = await http.get(f"/api/v1/stations/CS-1/{path}")
                assert told.status_code == 409 and "another node" in told.json()["detail"]


async def test_command_reaches_the_node_that_holds_the_socket(network: Topology):
    async with station_on(network, 1) as station:
        status, command = await reset(network, 0)
        assert (status, command["status"], command["response"]) == (200, "answered", {"status": "Accepted"})
        assert len(station.asked) == 1

        network.way_to_broker.cut()
        await asyncio.sleep(0.5)
        began = monotonic()
        status, command = await reset(network, 0)
        assert monotonic() - began < 5, "who cannot be reached is told of at once"
        assert (status, command["status"], command["error"]["code"]) == (409, "offline", "Unroutable")
        assert "broker is away" in command["error"]["description"]
        assert (await reset(network, 1))[1]["status"] == "answered"  # Without a way to others the own ones are steered.
        network.way_to_broker.mend()
        async with asyncio.timeout(30):
            while (await reset(network, 0))[1]["status"] != "answered":
                await asyncio.sleep(0.2)
        assert len(station.asked) == 3


async def test_newest_socket_speaks_for_the_station_on_whichever_node(network: Topology):
    async with station_on(network, 0) as old, station_on(network, 1) as new:
        assert await old.closed() == 1000
        assert await online(network)
        assert (await reset(network, 0))[1]["status"] == "answered"
        assert len(new.asked) == 1 and old.asked == []
    assert (await events(network)).count("station.disconnected") <= 1


async def test_what_is_changed_on_one_node_counts_on_the_other(network: Topology):
    broken = [False, True]  # The second time without the broker: nodes look for themselves.
    async with station_on(network, 1) as station:
        for value, away in zip(("rejected", "accepted"), broken, strict=True):
            if away:
                network.broker.kill()
            async with network.http(0) as http:
                assert (await http.put("/api/v1/stations/CS-1", json={"admission": value})).is_success
            boot = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}
            async with asyncio.timeout(10):
                while (await station.call("BootNotification", boot))["status"].lower() != value:
                    await asyncio.sleep(0.2)
        network.broker.start()


async def test_dead_nodes_stations_are_told_away_once_and_its_commands_end(network: Topology):
    async with station_on(network, 0):
        await network.nodes[0].kill()
        async with asyncio.timeout(20):
            while await online(network):
                await asyncio.sleep(0.2)
    assert (await events(network)).count("station.disconnected") == 1
    assert (await reset(network, 1))[1]["status"] == "offline"
    async with station_on(network, 1):
        assert (await reset(network, 1))[1]["status"] == "answered"


async def test_remote_commands_are_sent_once_while_the_ways_between_nodes_break(network: Topology):
    async with station_on(network, 1) as station:
        ended = []
        for number in range(12):
            asking = asyncio.create_task(reset(network, 0, wait=15))
            await asyncio.sleep(0.02 * (number % 4))
            if number % 3 == 1:
                network.way_to_broker.cut()
                await asyncio.sleep(0.3)
                network.way_to_broker.mend()
            ended.append((await asking)[1])
            await asyncio.sleep(0.2)
    sent = Counter(message_id for message_id, _ in station.asked)
    assert max(sent.values()) == 1, "sent twice"
    recorded = dict(await ask(network.database, "SELECT id::text, status FROM commands"))
    assert set(recorded.values()) <= {"answered", "offline", "timeout", "unknown"}
    assert {message_id for message_id in sent if recorded[message_id] == "offline"} == set(), "sent, and said not to be"
    assert any(command["status"] == "answered" for command in ended)


async def test_whatever_dies_under_load_nothing_acknowledged_is_lost(network: Topology):
    first = network.nodes[0]
    async with network.http() as http:
        (await http.put("/api/v1/tokens/SIM-TOKEN-0001", json={})).raise_for_status()
    network.settings = first.settings
    fleet = Fleet(network, 400, stations=STATIONS)
    await everybody_is_back(network, fleet)

    number = first.process_id
    await first.kill()  # A node.
    await everybody_is_back(network, fleet, without=number)
    await first.start()

    network.broker.kill()  # The broker: no station feels it.
    await fleet.goes_on()
    network.broker.start()

    for node in network.nodes:  # Both nodes rolled, one after the other.
        assert await node.stop() == 0
        await fleet.goes_on()
        await node.start()
        await node.until_ready()
    await everybody_is_back(network, fleet)

    network.way_to_database.stall()  # A node that the database cannot be reached from.
    await first.until_ready(False)
    await everybody_is_back(network, fleet, without=first.process_id)
    network.way_to_database.flow()
    await first.until_ready()

    network.postgres.kill()  # The database.
    await asyncio.sleep(2)
    network.postgres.start()
    for node in network.nodes:
        await node.until_ready()
    await everybody_is_back(network, fleet)

    summary = await fleet.ended()
    verdict = await fleet.verdict()
    assert verdict["acknowledged_lost"] == 0, verdict
    assert not any(verdict["findings"].values()), verdict
    assert verdict["messages_acknowledged"] > 200, "too little load for the test to mean anything"
    assert summary["unacknowledged"] == 0
    assert fleet.refused() == [], "a transaction message was answered with an error"
    assert await ask(network.database, "SELECT count(*) FROM errands") == [(0,)]
    await assert_sound(network.database)


_HERE = """
    SELECT count(*) FROM stations s JOIN holdings h ON h.station_id = s.id JOIN nodes n ON n.id = h.node
    WHERE s.connected_at IS NOT NULL AND n.lost_at IS NULL AND n.name NOT LIKE '%:{without}'
"""


async def everybody_is_back(network: Topology, fleet: Fleet, without: int = 0) -> None:
    """Nine in ten stations are connected (some charge offline by their scenario), none at the process `without`."""
    began = monotonic()
    async with asyncio.timeout(BACK_WITHIN):
        while True:
            with suppress(OSError, asyncpg.PostgresError):
                [(here,)] = await ask(network.database, _HERE.format(without=without))
                if here >= STATIONS * 9 // 10:
                    break
            await asyncio.sleep(0.2)
    print(f"back after {monotonic() - began:.1f} s")  # For who runs it by hand, with -s.
    await fleet.goes_on()
