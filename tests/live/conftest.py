"""Live tests: a real broker, a real database, and the nodes between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.live.broker import Broker, Listener, MissingTool
from tests.live.topology import Topology
from tests.postgres import Postgres, running


@pytest.fixture
def new_broker(tmp_path: Path) -> Broker:
    """Not started yet."""
    try:
        return Broker(tmp_path)
    except MissingTool as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture
def broker(new_broker: Broker) -> Iterator[Broker]:
    new_broker.start()
    yield new_broker
    new_broker.kill()


@pytest.fixture
async def listener(broker: Broker) -> AsyncIterator[Listener]:
    """Subscribed to everything, in a session that survives the broker."""
    listening = Listener(broker)
    await listening.start()
    broker.save()
    yield listening
    await listening.stop()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server of this module's own, to be killed: what it wrote survives that without being synced."""
    with running("fsync=off") as server:
        yield server


@pytest.fixture
async def network(tmp_path: Path, own_postgres: Postgres, broker: Broker) -> AsyncIterator[Topology]:
    async with Topology(tmp_path, own_postgres, broker).running() as topology:
        yield topology
