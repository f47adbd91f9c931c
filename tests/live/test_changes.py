"""What an operator changes over one node holds on the other within seconds, told by the broker or found without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.broker import Broker
from tests.live.stations import STATION, Station, station_at
from tests.live.topology import Topology

pytestmark = pytest.mark.live
WITHIN = 8.0  # s: a cache's age or a renewal of the lease, and a slow machine.
TOKEN = "CARD-1"


@pytest.fixture(params=["with the broker", "without it"])
async def told(request: pytest.FixtureRequest, network: Topology, broker: Broker) -> AsyncIterator[Topology]:
    """The same network with both nodes on the broker, and with a broker that is away."""
    if request.param == "without it":
        broker.kill()
    yield network
    if request.param == "without it":
        broker.start()


async def put(network: Topology, path: str, body: dict[str, Any]) -> None:
    """Over the first node."""
    async with network.http(0) as http:
        (await http.put(f"/api/v1/{path}", json=body)).raise_for_status()


async def may_charge(station: Station) -> str:
    return (await station.call("Authorize", {"idTag": TOKEN}))["idTagInfo"]["status"]


async def set_price(network: Topology, price: float) -> None:
    """Of each session from now on, over the first node."""
    async with network.http(0) as http:
        tariff = {"currency": "EUR", "price_per_session": price}
        (await http.post("/api/v1/tariffs", json=tariff)).raise_for_status()


async def price_of_a_session(station: Station, transaction: str) -> float:
    """What a station of 2.0.1 is told for one that begins and ends now."""
    event = {"seqNo": 0, "evse": {"id": 1, "connectorId": 1}, "transactionInfo": {"transactionId": transaction}}
    event |= {"timestamp": datetime.now(UTC).isoformat(), "idToken": {"idToken": TOKEN, "type": "Central"}}
    await station.call("TransactionEvent", event | {"eventType": "Started", "triggerReason": "Authorized"})
    ended = {"eventType": "Ended", "triggerReason": "StopAuthorized", "seqNo": 1}
    return (await station.call("TransactionEvent", event | ended))["totalCost"]


async def until(look: Any, wanted: Any) -> None:
    """Ask again and again, as a station would: what holds meanwhile is in the cache all the time."""
    async with asyncio.timeout(WITHIN):
        while await look() != wanted:
            await asyncio.sleep(0.1)


async def test_blocked_token_charges_nowhere(told: Topology):
    await put(told, f"tokens/{TOKEN}", {})
    async with station_at(told.nodes[1].url) as station:
        assert await may_charge(station) == "Accepted"
        await put(told, f"tokens/{TOKEN}", {"status": "blocked"})
        await until(lambda: may_charge(station), "Blocked")
        async with told.http(0) as http:
            (await http.delete(f"/api/v1/tokens/{TOKEN}")).raise_for_status()
        await until(lambda: may_charge(station), "Invalid")


async def test_new_prices_are_those_of_the_sessions_that_begin(told: Topology):
    await put(told, f"tokens/{TOKEN}", {})
    async with station_at(told.nodes[1].url, version="2.0.1") as station:
        numbers = count(1)

        async def price() -> float:
            return await price_of_a_session(station, f"T-{next(numbers)}")

        assert await price() == 0  # Without a tariff it is free; that there is none is in the cache now.
        for price_told in (5.0, 7.0):
            await set_price(told, price_told)
            await until(price, price_told)


async def test_strictness_holds_at_the_stations_next_message(told: Topology):
    mended = {"connectorId": "1", "errorCode": "NoError", "status": "Available"}  # A text where a number belongs.
    async with station_at(told.nodes[1].url) as station:
        assert (await station.answer("StatusNotification", mended))[0] == 3
        await put(told, f"stations/{STATION}", {"strict": True})

        async def kind() -> int:
            return (await station.answer("StatusNotification", mended))[0]

        await until(kind, 4)
        await put(told, f"stations/{STATION}", {"strict": False})
        await until(kind, 3)


async def test_new_password_is_the_only_one_that_lets_in(told: Topology):
    await put(told, f"stations/{STATION}", {"password": "the first password"})
    async with station_at(told.nodes[1].url, password="the first password"):
        pass
    await put(told, f"stations/{STATION}", {"password": "the second password"})
    with pytest.raises(InvalidStatus) as refused:
        async with station_at(told.nodes[1].url, password="the first password"):
            pass
    assert refused.value.response.status_code == 401
    async with station_at(told.nodes[1].url, password="the second password"):
        pass
