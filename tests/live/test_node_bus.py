"""The nodes' own way to each other, over a real broker."""

from __future__ import annotations

import asyncio

import pytest

from csms.bus import node_bus
from csms.bus.node_bus import NodeBus
from tests.live.broker import Broker

pytestmark = pytest.mark.live


async def no_answer(request: bytes) -> bytes:
    return b""


async def test_node_that_lacked_a_number_is_on_the_bus_once_it_has_one(broker: Broker, monkeypatch: pytest.MonkeyPatch):
    """It lacks one for as long as it cannot reach the database: that is no reason to leave the broker alone."""
    for pause in ("_FIRST_PAUSE", "_LONGEST_PAUSE"):
        monkeypatch.setattr(node_bus, pause, 1e6)  # Who waits after a failure waits for ever.
    numbers: list[int | None] = [None]
    connected = asyncio.Event()
    bus = NodeBus(broker.url, b"k" * 32, lambda: numbers[0], no_answer, lambda news: None, joined=connected.set)
    task = asyncio.create_task(bus.run())
    await asyncio.sleep(0)  # It has looked by now.
    numbers[0] = 7
    async with asyncio.timeout(20):
        await connected.wait()
    assert bus.connected
    task.cancel()
    await asyncio.wait({task})
