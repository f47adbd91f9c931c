"""A node in a network namespace: whichever way is silently cut, nothing acknowledged is lost and nothing sent twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

from tests.journeys.processes import Fleet, ServerProcess, ask, assert_sound
from tests.live.broker import Broker
from tests.live.namespaces import WAYS, Namespace
from tests.live.test_nodes import STATIONS, everybody_is_back, station_on
from tests.live.topology import KEY, Topology
from tests.postgres import Postgres, database, name_of, running

pytestmark = pytest.mark.live
READY_WITHIN = 30.0  # s
BOTH, OUT, BACK = {}, {"back": False}, {"out": False}
CUTS = [(("database",), BOTH), (("broker",), BOTH), (tuple(WAYS), BOTH), (("database",), BACK), (("balancer",), OUT)]
FINAL = {"answered", "offline", "timeout", "unknown"}


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
    topology = Divided(tmp_path, postgres, new_broker, namespace)
    try:
        await topology.start()
        yield topology
    finally:
        await topology.stop()
        new_broker.kill()


class Divided(Topology):
    """The first node is in the namespace, the second and everything else on the host."""

    def __init__(self, folder: Path, postgres: Postgres, broker: Broker, namespace: Namespace):
        super().__init__(folder, postgres, broker)
        self._namespace = namespace

    async def start(self) -> None:
        self.database = await database(self.postgres)
        far = f"postgresql://postgres@{self._namespace.near('database')}/{name_of(self.database)}"
        mqtt = self.broker.url.replace("127.0.0.1", self._namespace.near("broker"))
        for number, (url, bus) in enumerate([(far, mqtt), (self.database, self.broker.url)], 1):
            folder = self.directory / f"node{number}"
            folder.mkdir()
            node = ServerProcess(
                folder, database_url=url, mqtt_url=bus, secret_key="k" * 32, admin_key=KEY, registration="open",
                log_level="info", ocpp_host="0.0.0.0", http_host="0.0.0.0",
            )  # fmt: skip
            self.nodes.append(node)
        self.nodes[0].address = self._namespace.far("balancer")
        self.nodes[0].program = ("ip", "netns", "exec", self._namespace.name, *ServerProcess.program)
        for node in self.nodes:
            await node.start()
        self._start_haproxy()
        for node in self.nodes:
            await node.until_ready()
        await self.until_served()

    async def stop(self) -> None:
        if self._haproxy is not None:
            self._haproxy.kill()
            self._haproxy.wait()
        for node in self.nodes:
            if node.running:
                await node.kill()


def chosen() -> list[tuple[tuple[str, ...], dict[str, bool]]]:
    """The suite's, or by hand CSMS_PARTITIONS=n, of the seed CSMS_SEED."""
    if count := int(os.environ.get("CSMS_PARTITIONS", "0")):
        choice = random.Random(int(os.environ.get("CSMS_SEED", "1")))
        places = [(way,) for way in WAYS] + [tuple(WAYS)]
        return [(choice.choice(places), choice.choice([BOTH, OUT, BACK])) for _ in range(count)]
    return CUTS


async def start_remotely(network: Topology) -> None:
    """An operator on each node in turn, for ever; the way to a node may be cut meanwhile."""
    number = 0
    while True:
        number += 1
        try:
            async with network.http(number % 2) as http:
                path = "/api/v1/stations/CS-1/commands/RemoteStartTransaction"
                await http.post(path, json={"idTag": "SIM-TOKEN-0001"}, timeout=5)
        except httpx.HTTPError:
            continue
        await asyncio.sleep(0.2)


async def test_silent_partitions_lose_nothing_and_send_nothing_twice(network: Topology, namespace: Namespace):
    async with network.http(1) as http:
        (await http.put("/api/v1/tokens/SIM-TOKEN-0001", json={})).raise_for_status()
    network.settings = network.nodes[1].settings
    fleet = Fleet(network, 3600, stations=STATIONS)
    async with station_on(network, 1) as station:
        operators = asyncio.create_task(start_remotely(network))
        await everybody_is_back(network, fleet)
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
            await everybody_is_back(network, fleet)
        operators.cancel()
        await asyncio.gather(operators, return_exceptions=True)
        await fleet.ended()
        async with asyncio.timeout(60):
            while await ask(network.database, f"SELECT 1 FROM commands WHERE status NOT IN {tuple(FINAL)}"):
                await asyncio.sleep(0.2)
    sent = Counter(message_id for message_id, action in station.asked if action == "RemoteStartTransaction")
    assert len(sent) > 5 and max(sent.values()) == 1, "sent twice, or too few to tell"
    recorded = dict(await ask(network.database, "SELECT id::text, status FROM commands"))
    assert not [message_id for message_id in sent if recorded[message_id] == "offline"], "sent, and said not to be"
    verdict = await fleet.verdict()
    assert verdict["acknowledged_lost"] == 0, verdict
    assert not any(verdict["findings"].values()), verdict
    print(Counter(recorded.values()), f"{len(sent)} remote starts at the station")
    await assert_sound(network.database)
