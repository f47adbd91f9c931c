"""What an operator changes over one node holds on the other within seconds, told by the broker or found without it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.live.broker import Broker
from tests.live.stations import Station
from tests.live.topology import Topology
from tests.postgres import Postgres, running

pytestmark = pytest.mark.live
WITHIN = 8.0  # s: a cache's age or a renewal of the lease, and a slow machine.
TOKEN, STATION = "CARD-1", "CS-1"
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
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


@asynccontextmanager
async def there(network: Topology, password: str | None = None) -> AsyncIterator[Station]:
    """The station at the second node, booted."""
    login = {} if password is None else {"Authorization": f"Basic {_basic(password)}"}
    async with connect(
        f"{network.nodes[1].url}/{STATION}", subprotocols=["ocpp1.6"], ping_interval=None, close_timeout=1,
        additional_headers=login,
    ) as socket:  # fmt: skip
        station = Station(socket)
        await station.call("BootNotification", BOOT)
        yield station


async def may_charge(station: Station) -> str:
    return (await station.call("Authorize", {"idTag": TOKEN}))["idTagInfo"]["status"]


async def until(look: Any, wanted: Any) -> None:
    """Ask again and again, as a station would: what holds meanwhile is in the cache all the time."""
    async with asyncio.timeout(WITHIN):
        while await look() != wanted:
            await asyncio.sleep(0.1)


async def test_blocked_token_charges_nowhere(told: Topology):
    await put(told, f"tokens/{TOKEN}", {})
    async with there(told) as station:
        assert await may_charge(station) == "Accepted"
        await put(told, f"tokens/{TOKEN}", {"status": "blocked"})
        await until(lambda: may_charge(station), "Blocked")
        async with told.http(0) as http:
            (await http.delete(f"/api/v1/tokens/{TOKEN}")).raise_for_status()
        await until(lambda: may_charge(station), "Invalid")


async def test_strictness_holds_at_the_stations_next_message(told: Topology):
    mended = {"connectorId": "1", "errorCode": "NoError", "status": "Available"}  # A text where a number belongs.
    async with there(told) as station:
        assert (await station.answer("StatusNotification", mended))[0] == 3
        await put(told, f"stations/{STATION}", {"strict": True})

        async def kind() -> int:
            return (await station.answer("StatusNotification", mended))[0]

        await until(kind, 4)
        await put(told, f"stations/{STATION}", {"strict": False})
        await until(kind, 3)


async def test_new_password_is_the_only_one_that_lets_in(told: Topology):
    await put(told, f"stations/{STATION}", {"password": "the first password"})
    async with there(told, "the first password"):
        pass
    await put(told, f"stations/{STATION}", {"password": "the second password"})
    with pytest.raises(InvalidStatus) as refused:
        async with there(told, "the first password"):
            pass
    assert refused.value.response.status_code == 401
    async with there(told, "the second password"):
        pass


def _basic(password: str) -> str:
    return base64.b64encode(f"{STATION}:{password}".encode()).decode()
