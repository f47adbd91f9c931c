"""Live tests: a real broker, and the central system's side of it over a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.live.broker import Broker, Listener, MissingTool


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
