"""Stations are sent away over a window, each between two calls, and served until then."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from csms.gateway.drain import send_away

pytestmark = pytest.mark.disk


async def test_stations_leave_one_after_the_other_and_are_served_until_then(server):
    for number in range(4):
        await server.add_station(f"CS-{number}")
    stations = [await server.connect(f"CS-{number}") for number in range(4)]
    began = monotonic()
    leaving = asyncio.create_task(send_away(server.gateway, 1.0))
    left = []

    async def gone(station) -> None:
        assert await station.closed() == 1012
        left.append(monotonic() - began)

    await asyncio.sleep(0)
    assert server.gateway.listener.closed
    assert "currentTime" in await stations[-1].call("Heartbeat")
    await asyncio.gather(*map(gone, stations), leaving)
    assert max(left) - min(left) > 0.3
