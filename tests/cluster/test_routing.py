"""Commands whose station another node holds, seen from the desk that took them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from csms.cluster.routing import Routes
from csms.domain.ports import StorageUnavailable
from csms.ocpp import v201
from csms.ocpp.catalogue import Version
from csms.storage.nodes import Holder
from tests.cluster.conftest import Office
from tests.cluster.line import JoinedLine

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Elsewhere:
    """Routes to a station that another node holds, whenever the test says so."""

    def __init__(self, ends: Any = None):
        self.holds = False
        self.ends = ends
        self.number: int | None = None

    def own(self) -> int | None:
        return self.number

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


async def test_queued_command_is_not_sent_once_its_process_was_taken_for_lost(office: Office) -> None:
    """Its errands were ended then, as unknown: an operator may have asked again."""
    office.desk.routes = routes = Elsewhere()
    asking = asyncio.ensure_future(office.desk.ask(office.target, lambda version: v201.ClearCache(), queue=60))
    async with asyncio.timeout(5):
        while not office.desk._awaited:
            await asyncio.sleep(0.01)
        routes.number = 2
        line = office.connect(JoinedLine(Version.V201, lambda call: {"status": "Accepted"}))
        office.desk.station_ready(office.target.id)
        command = await asking
    assert line.asked == [] and command.status == "pending", "who buries the number ends it"


async def test_what_a_former_number_of_this_process_holds_is_held_by_nobody(office: Office) -> None:
    class Held:
        async def holder(self, station: int) -> Holder:
            return Holder(1, "2.0.1")

    routes = Routes(Held(), office.log, lambda: 2, None, lambda: former)
    former: list[int] = []
    assert await routes.held(office.target.id)
    former.append(1)
    assert not await routes.held(office.target.id)
    assert await routes.elsewhere(None, office.target.id, b"{}", 1.0) is None
