"""Commands whose station another node holds, seen from the desk that took them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from csms.domain.ports import StorageUnavailable
from csms.ocpp import v201
from tests.cluster.conftest import Office

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Elsewhere:
    """Routes to a station that another node holds, whenever the test says so."""

    def __init__(self, ends: Any = None):
        self.holds = False
        self.ends = ends

    async def held(self, station: int) -> bool:
        return self.holds

    async def elsewhere(self, command: Any, *rest: Any) -> Any:
        if isinstance(self.ends, Exception):
            raise self.ends
        return self.ends(command) if self.holds else None


@pytest.mark.parametrize("error", [StorageUnavailable("away"), ConnectionError("cut")])
async def test_command_ends_when_the_way_to_another_node_fails(office: Office, error: Exception) -> None:
    office.desk.routes = Elsewhere(error)
    command = await office.desk.ask(office.target, lambda version: v201.ClearCache())
    assert command.status == "unknown"
    assert (await office.log.find(command.id)).status == "unknown"


async def test_queued_command_follows_its_station_to_another_node(office: Office) -> None:
    office.desk.routes = routes = Elsewhere(lambda command: msgspec.structs.replace(command, status="answered"))
    office.desk.look_elsewhere = 0.02
    asking = asyncio.ensure_future(office.desk.ask(office.target, lambda version: v201.ClearCache(), queue=60))
    await asyncio.sleep(0.05)
    routes.holds = True
    async with asyncio.timeout(5):
        assert (await asking).status == "answered"
