"""Two nodes behind HAProxy, with real PostgreSQL and a real broker: whatever dies, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from time import monotonic
from typing import Any

import pytest

from tests.journeys.processes import Fleet, ServerProcess, ask
from tests.live.stations import BOOT, STATION, returning_station, station_at
from tests.live.topology import Topology

pytestmark = pytest.mark.live


async def reset(network: Topology, node: int, identity: str = STATION, **query: Any) -> tuple[int, dict[str, Any]]:
    async with network.http(node) as http:
        answer = await http.post(f"/api/v1/stations/{identity}/commands/Reset", json={"type": "Soft"}, params=query)
    return answer.status_code, answer.json()


async def online(network: Topology, identity: str = STATION) -> bool:
    async with network.http(1) as http:
        return (await http.get(f"/api/v1/stations/{identity}")).json()["online"]


async def events(network: Topology, identity: str = STATION) -> list[str]:
    rows = await ask(network.database, f"SELECT events FROM outbox WHERE station = '{identity}' ORDER BY id")
    return [event["type"] for (text,) in rows for event in json.loads(text)]


async def test_messages_are_read_on_the_node_that_holds_the_station(network: Topology):
    async with station_at(network.nodes[1].url):
        async with network.http(1) as http:
            assert (await http.get(f"/api/v1/stations/{STATION}/messages")).json()["items"][0][
                "action"
            ] == "BootNotification"
        async with network.http(0) as http:
            for path in ("messages", "trace"):
                told = await http.get(f"/api/v1/stations/{STATION}/{path}")
                assert told.status_code == 409 and "another node" in told.json()["detail"]


async def test_command_reaches_the_node_that_holds_the_socket(network: Topology):
    async with station_at(network.nodes[1].url) as station:
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
    async with station_at(network.nodes[0].url) as old, station_at(network.nodes[1].url) as new:
        assert await old.closed() == 1000
        assert await online(network)
        assert (await reset(network, 0))[1]["status"] == "answered"
        assert len(new.asked) == 1 and old.asked == []
    assert (await events(network)).count("station.disconnected") <= 1


async def test_what_is_changed_on_one_node_counts_on_the_other(network: Topology):
    broken = [False, True]  # The second time without the broker: nodes look for themselves.
    async with station_at(network.nodes[1].url) as station:
        for value, away in zip(("rejected", "accepted"), broken, strict=True):
            if away:
                network.broker.kill()
            async with network.http(0) as http:
                assert (await http.put(f"/api/v1/stations/{STATION}", json={"admission": value})).is_success
            async with asyncio.timeout(10):
                while (await station.call("BootNotification", BOOT))["status"].lower() != value:
                    await asyncio.sleep(0.2)
        network.broker.start()


async def test_dead_nodes_stations_are_told_away_once_and_its_commands_end(network: Topology):
    async with station_at(network.nodes[0].url):
        await network.nodes[0].kill()
        async with asyncio.timeout(20):
            while await online(network):
                await asyncio.sleep(0.2)
    assert (await events(network)).count("station.disconnected") == 1
    assert (await reset(network, 1))[1]["status"] == "offline"
    async with station_at(network.nodes[1].url):
        assert (await reset(network, 1))[1]["status"] == "answered"


async def test_remote_commands_are_sent_once_while_the_ways_between_nodes_break(network: Topology):
    async with station_at(network.nodes[1].url) as station:
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


# What happens to nodes: which of them, and how.


async def killed(network: Topology, nodes: list[ServerProcess], fleet: Fleet) -> None:
    """The others take the stations over before it is there again."""
    for node in nodes:
        await node.kill()
    if len(nodes) < len(network.nodes):
        await network.everybody_is_back(fleet, without=nodes[0].process_id)
    for node in nodes:
        await node.start()


async def killed_and_restarted(network: Topology, nodes: list[ServerProcess], fleet: Fleet) -> None:
    """As a service manager does: it is there again before anybody misses it."""
    for node in nodes:
        await node.kill()
        await node.start()


async def rolled(network: Topology, nodes: list[ServerProcess], fleet: Fleet) -> None:
    for node in nodes:
        assert await node.stop() == 0
        await fleet.goes_on()
        await node.start()
        await node.until_ready()


ENDS = (killed, killed_and_restarted, rolled)


def chosen_ends() -> list[tuple[Any, tuple[int, ...]]]:
    """The suite's, or by hand CSMS_NODE_KILLS=n, of the seed CSMS_SEED: (how, the numbers of which nodes)."""
    if count := int(os.environ.get("CSMS_NODE_KILLS", "0")):
        choice = random.Random(int(os.environ.get("CSMS_SEED", "1")))
        return [(choice.choice(ENDS), choice.choice([(0,), (1,), (0, 1)])) for _ in range(count)]
    return [(killed, (0,)), (rolled, (0, 1))]


async def test_nodes_killed_and_rolled_under_load_lose_nothing_and_send_nothing_twice(network: Topology):
    network.settings = network.nodes[0].settings
    fleet = await network.charging()
    async with returning_station(network.url) as asked:
        operators = asyncio.create_task(network.start_remotely())
        for end, numbers in chosen_ends():
            began = monotonic()
            await end(network, [network.nodes[number] for number in numbers], fleet)
            print(end.__name__, numbers, f"{monotonic() - began:.1f} s", flush=True)
            for node in network.nodes:
                await node.until_ready()
            await network.everybody_is_back(fleet)
        operators.cancel()
        await asyncio.gather(operators, return_exceptions=True)
        await network.assert_each_start_was_sent_once(asked)
    await network.assert_nothing_was_lost(fleet)


async def test_whatever_nodes_need_dies_under_load_and_nothing_acknowledged_is_lost(network: Topology):
    first = network.nodes[0]
    network.settings = first.settings
    fleet = await network.charging()

    network.broker.kill()  # The broker: no station feels it.
    await fleet.goes_on()
    network.broker.start()

    network.way_to_database.stall()  # A node that the database cannot be reached from.
    await first.until_ready(False)
    await network.everybody_is_back(fleet, without=first.process_id)
    network.way_to_database.flow()
    await first.until_ready()

    network.postgres.kill()  # The database.
    await asyncio.sleep(2)
    network.postgres.start()
    for node in network.nodes:
        await node.until_ready()
    await network.everybody_is_back(fleet)
    await network.assert_nothing_was_lost(fleet)
