"""A node in a network namespace: whichever way is silently cut, nothing acknowledged is lost and nothing sent twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.journeys.processes import ServerProcess
from tests.live.broker import Broker
from tests.live.namespaces import WAYS, Namespace
from tests.live.stations import returning_station, station_at
from tests.live.topology import Topology
from tests.postgres import Postgres, name_of, running

pytestmark = pytest.mark.live
READY_WITHIN = 30.0  # s
LET_GO_WITHIN = 60.0  # s; a node's patience, a renewal that fails, and a slow machine.
BOTH, OUT, BACK = {}, {"back": False}, {"out": False}
CUTS = [(("database",), BOTH), (("broker",), BOTH), (tuple(WAYS), BOTH), (("database",), BACK), (("balancer",), OUT)]


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    try:
        made.start()
    except (OSError, subprocess.CalledProcessError) as error:
        made.stop()
        pytest.skip(f"no network namespace can be made here: {getattr(error, 'stderr', None) or error}")
    yield made
    made.stop()


@pytest.fixture
def postgres(namespace: Namespace) -> Iterator[Postgres]:
    with running(f"listen_addresses={namespace.near('database')}") as server:
        with open(server.folder / "pg_hba.conf", "a") as rules:
            rules.write(f"host all all {namespace.far('database')}/32 trust\n")
        os.kill(server.pid, signal.SIGHUP)
        yield server


@pytest.fixture
async def network(
    tmp_path: Path, namespace: Namespace, postgres: Postgres, new_broker: Broker
) -> AsyncIterator[Topology]:
    new_broker.addresses.append(namespace.near("broker"))
    new_broker.start()
    try:
        async with Divided(tmp_path, postgres, new_broker, namespace).running() as topology:
            yield topology
    finally:
        new_broker.kill()


class Divided(Topology):
    """The first node is in the namespace, the second and everything else on the host."""

    def __init__(self, folder: Path, postgres: Postgres, broker: Broker, namespace: Namespace):
        super().__init__(folder, postgres, broker)
        self._namespace = namespace

    async def _lay_ways(self) -> None:
        far = f"postgresql://postgres@{self._namespace.near('database')}/{name_of(self.database)}"
        hosts = {"ocpp_host": "0.0.0.0", "http_host": "0.0.0.0"}
        mqtt = self.broker.url.replace("127.0.0.1", self._namespace.near("broker"))
        self._add_node(far, mqtt, **hosts)
        self._add_node(self.database, self.broker.url, **hosts)
        self.nodes[0].address = self._namespace.far("balancer")
        self.nodes[0].program = ("ip", "netns", "exec", self._namespace.name, *ServerProcess.program)


def chosen() -> list[tuple[tuple[str, ...], dict[str, bool]]]:
    """The suite's, or by hand CSMS_PARTITIONS=n, of the seed CSMS_SEED."""
    if count := int(os.environ.get("CSMS_PARTITIONS", "0")):
        choice = random.Random(int(os.environ.get("CSMS_SEED", "1")))
        places = [(way,) for way in WAYS] + [tuple(WAYS)]
        return [(choice.choice(places), choice.choice([BOTH, OUT, BACK])) for _ in range(count)]
    return CUTS


async def test_silent_partitions_lose_nothing_and_send_nothing_twice(network: Topology, namespace: Namespace):
    network.settings = network.nodes[1].settings
    async with station_at(network.nodes[1].url) as station:
        fleet = await network.charging()
        operators = asyncio.create_task(network.start_remotely())
        for ways, direction in chosen():
            for way in ways:
                namespace.cut(way, **direction)
            await asyncio.sleep(6)  # It lasts for longer than a probe of the database and HAProxy's look.
            for way in ways:
                namespace.mend(way, **direction)
            began = monotonic()
            async with asyncio.timeout(READY_WITHIN):
                await network.nodes[0].until_ready()
            print(ways, direction, f"ready after {monotonic() - began:.1f} s", flush=True)
            await network.everybody_is_back(fleet)
        operators.cancel()
        await asyncio.gather(operators, return_exceptions=True)
        await network.assert_each_start_was_sent_once(station.asked)
    await network.assert_nothing_was_lost(fleet)


async def test_node_that_is_cut_off_for_long_sends_its_stations_to_the_other_and_comes_back(
    network: Topology, namespace: Namespace
):
    lonely, other = network.nodes
    network.settings = other.settings
    fleet = await network.charging()
    async with returning_station(network.url) as asked:
        operators = asyncio.create_task(network.start_remotely())
        async with station_at(lonely.url, "CS-2") as station:
            namespace.cut("database")
            await lonely.until_ready(False)
            async with asyncio.timeout(LET_GO_WITHIN):
                await station.socket.wait_closed()
            assert station.socket.close_code == 1012, "told to come again"
        await network.everybody_is_back(fleet, without=lonely.process_id)
        assert await lonely.health("ready") == 503 and await lonely.health("live") == 200
        namespace.mend("database")
        await lonely.until_ready()
        async with station_at(lonely.url, "CS-2") as station, network.http(1) as http, asyncio.timeout(READY_WITHIN):
            while True:  # Its new number may not be known to the broker yet: then nothing was sent.
                reset = (await http.post("/api/v1/stations/CS-2/commands/Reset", json={"type": "Soft"})).json()
                if reset["status"] == "answered":
                    break
                assert reset["status"] == "offline", reset
                await asyncio.sleep(0.2)
            assert len(station.asked) == 1
        operators.cancel()
        await asyncio.gather(operators, return_exceptions=True)
        await network.assert_each_start_was_sent_once(asked)
    await network.assert_nothing_was_lost(fleet)
