"""Which node holds which station: one at a time, and what a former one still writes does not count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa

from csms.domain.commands import Command
from csms.domain.ports import Outdated, StorageUnavailable
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.storage import admin
from csms.storage.commands import CommandLog
from csms.storage.database import Database, open_database
from csms.storage.nodes import Nodes, holding_lock
from csms.storage.records import open_records
from tests.conftest import NOW
from tests.storage.conftest import free, session, unit_of

ENGINES = ("postgres",)
LEASE = 30.0  # s


class Node:
    """One of several nodes on the same database."""

    def __init__(self, database: Database):
        self.database = database
        self.nodes = Nodes(database)

    async def join(self, lease: float = LEASE) -> Node:
        self.id = await self.nodes.join("test", lease)
        self.database.writer.node = self.id
        return self

    async def take(self, station: Station) -> Station:
        """This node's own picture of the station, once it holds it."""
        claimed = await self.nodes.claim(self.id, [station.id])
        mine = Station(station.id, station.operator_id, station.operator, station.identity)
        mine.epoch = claimed[station.id].epoch
        return mine


@pytest.fixture
async def first(database: Database, station: Station) -> Node:
    return await Node(database).join()


@pytest.fixture
async def second(database: Database, first: Node, postgres) -> AsyncIterator[Node]:
    opened = await open_database(postgres.shared[0], patience=0.5)
    yield await Node(opened).join()
    await opened.close()


def connecting(station: Station) -> Unit:
    return unit_of(station, connection=("1.6", NOW))


async def test_unit_of_a_former_holder_is_not_kept(first: Node, second: Node, station: Station, rows):
    before, now = await first.take(station), await second.take(station)
    assert now.epoch == before.epoch + 1
    with pytest.raises(Outdated):
        await first.database.writer.commit(unit_of(before, session(1)))
    await second.database.writer.commit(unit_of(now, session(2)))
    assert await rows("SELECT id FROM sessions") == [(2,)]


async def test_former_holders_units_fail_alone(first: Node, second: Node, station: Station, rows):
    await first.database.writer.run(admin.put_station(station.operator_id, "CS-2", {}, NOW))
    lost = await first.take(station)
    kept = await first.take(Station(2, station.operator_id, "default", "CS-2"))
    await second.take(station)
    commit = first.database.writer.commit
    outcomes = await asyncio.gather(
        *(commit(unit_of(lost, session(id))) for id in (1, 3)), *(commit(unit_of(kept, session(id))) for id in (2, 4)),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [type(outcomes[0]), type(outcomes[0]), type(None), type(None)]
    assert isinstance(outcomes[0], Outdated)
    assert not first.database.writer.failing
    assert await rows("SELECT id FROM sessions ORDER BY id") == [(2,), (4,)]


async def test_what_the_new_holder_has_already_is_no_fault_of_the_former_ones_unit(
    first: Node, second: Node, station: Station
):
    """A station that is between two nodes says the same to both."""
    before, now = await first.take(station), await second.take(station)
    await second.database.writer.commit(unit_of(now, session(1)))
    with pytest.raises(Outdated):
        await first.database.writer.commit(unit_of(before, session(1)))


async def test_coming_again_to_the_same_node_changes_no_epoch(first: Node, station: Station):
    assert (await first.take(station)).epoch == (await first.take(station)).epoch


async def test_coming_back_after_another_node_is_a_new_epoch(first: Node, second: Node, station: Station):
    epochs = [(await node.take(station)).epoch for node in (first, second, first)]
    assert epochs == sorted(set(epochs))


async def test_who_takes_over_waits_for_what_the_former_holder_has_under_way(
    first: Node, second: Node, station: Station, postgres
):
    await first.take(station)
    slow = await asyncpg.connect(postgres.shared[0])  # A commit of the first that takes its time.
    async with slow.transaction():
        await slow.execute(holding_lock(first.id))
        taking = asyncio.create_task(second.take(station))
        while not await slow.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            assert not taking.done()
            await asyncio.sleep(0.01)
    await slow.close()
    async with asyncio.timeout(5):
        await taking


async def test_lost_node_writes_and_takes_nothing(first: Node, second: Node, station: Station):
    mine = await first.take(station)
    await second.nodes.bury(first.id, NOW)
    with pytest.raises(Outdated):
        await first.database.writer.commit(unit_of(mine, session(1)))
    assert await first.nodes.claim(first.id, [station.id]) == {}
    assert await first.nodes.renew(first.id, LEASE) is None


async def test_stations_of_a_lost_node_are_told_away_once(first: Node, second: Node, station: Station, rows):
    await first.database.writer.commit(connecting(await first.take(station)))
    assert await second.nodes.bury(first.id, NOW) == 1
    assert await second.nodes.bury(first.id, NOW) == 0
    assert await rows("SELECT connected_at FROM stations") == [(None,)]
    [(events,)] = await rows("SELECT events FROM outbox")
    assert "station.disconnected" in events
    assert await rows("SELECT status FROM status_changes ORDER BY id") == [("online",), ("offline",)]


async def test_station_that_was_taken_over_is_not_buried_with_its_former_node(
    first: Node, second: Node, station: Station, rows
):
    await first.database.writer.commit(connecting(await first.take(station)))
    await second.database.writer.commit(connecting(await second.take(station)))
    assert await second.nodes.bury(first.id, NOW) == 0
    assert await rows("SELECT connected_at IS NOT NULL FROM stations") == [(True,)]


async def test_late_goodbye_of_a_former_holder_removes_nothing(first: Node, second: Node, station: Station, rows):
    before = await first.take(station)
    await second.database.writer.commit(connecting(await second.take(station)))
    with pytest.raises(Outdated):
        await first.database.writer.commit(unit_of(before, connection=NOW, connectors=[free(1)]))
    assert await rows("SELECT connected_at IS NOT NULL FROM stations") == [(True,)]
    assert await second.nodes.holder(station.id) == (second.id, "1.6")


async def test_lease_that_ran_out_is_seen_by_the_others(first: Node, second: Node):
    await first.nodes.renew(first.id, -1.0)
    renewed = await second.nodes.renew(second.id, LEASE)
    assert (renewed.leader, renewed.lapsed) == (second.id, [first.id])


async def test_longest_serving_node_leads(first: Node, second: Node):
    assert [(await node.nodes.renew(node.id, LEASE)).leader for node in (first, second)] == [first.id, first.id]


async def test_change_by_an_operator_is_news_for_the_holder_alone(first: Node, second: Node, station: Station):
    mine = await first.take(station)
    now = (await first.nodes.renew(first.id, LEASE)).now
    await second.database.writer.run(
        admin.put_station(station.operator_id, "CS-1", {"admission": "rejected", "strict": True}, NOW)
    )
    assert await first.nodes.changed(first.id, now - 1) == [(station.id, mine.epoch, "rejected", True)]
    assert await second.nodes.changed(second.id, now - 1) == []


async def test_former_holder_learns_that_a_station_has_moved(first: Node, second: Node, station: Station):
    before = await first.take(station)
    now = await second.take(station)
    assert [change.epoch for change in await first.nodes.changed(first.id, 0)] == [now.epoch]
    assert now.epoch > before.epoch


# Errands: whose a command is.


def command(id: int) -> Command:
    return Command(id=id, operator="default", station="CS-1", action="Reset", request={}, created_at=NOW)


async def test_errand_is_taken_over_by_one_only(first: Node, second: Node, station: Station):
    logs = [CommandLog(node.database, lambda node=node: node.id) for node in (first, second)]
    await logs[0].opened(command(7), 1, station.id)
    assert await logs[1].take_over(7, first.id)
    assert not await logs[1].take_over(7, first.id)
    assert not await logs[0].revoked(7)


async def test_errand_that_was_revoked_is_taken_by_nobody(first: Node, second: Node, station: Station):
    logs = [CommandLog(node.database, lambda node=node: node.id) for node in (first, second)]
    await logs[0].opened(command(7), 1, station.id)
    assert await logs[0].revoked(7)
    assert not await logs[1].take_over(7, first.id)


async def test_only_the_node_whose_errand_it_is_records_the_end(first: Node, second: Node, station: Station, rows):
    logs = [CommandLog(node.database, lambda node=node: node.id) for node in (first, second)]
    await logs[0].opened(command(7), 1, station.id)
    await logs[1].take_over(7, first.id)
    ended = [msgspec.structs.replace(command(7), status=status, settled_at=NOW) for status in ("offline", "answered")]
    assert not await logs[0].settled(ended[0], station.id)
    assert await logs[1].settled(ended[1], station.id)
    assert await rows("SELECT status FROM commands") == [("answered",)]
    assert await rows("SELECT count(*) FROM errands") == [(0,)]


async def test_errands_of_a_lost_node_end_unknown_and_can_not_be_taken(first: Node, second: Node, station: Station):
    log = CommandLog(first.database, lambda: first.id)
    await log.opened(command(7), 1, station.id)
    await second.nodes.bury(first.id, NOW)
    other = CommandLog(second.database, lambda: second.id)
    assert (await other.find(7)).status == "unknown"
    assert not await other.take_over(7, first.id)


async def test_opening_the_records_leaves_other_nodes_alone(first: Node, second: Node, station: Station, rows):
    await first.database.writer.commit(connecting(await first.take(station)))
    await CommandLog(first.database, lambda: first.id).opened(command(7), 1, station.id)
    await open_records(second.database, NOW)
    assert await rows("SELECT connected_at IS NOT NULL FROM stations") == [(True,)]
    assert await rows("SELECT status FROM commands") == [("pending",)]


async def test_command_is_nobodys_errand_without_a_living_node(first: Node, second: Node, station: Station, rows):
    await second.nodes.bury(first.id, NOW)  # It does not know yet.
    for number in (first.id, None):
        log = CommandLog(first.database, lambda number=number: number)
        with pytest.raises(StorageUnavailable):
            await log.opened(command(7), 1, station.id)
    assert await rows("SELECT count(*) FROM commands") == [(0,)]


async def test_lost_node_takes_no_errand_over(first: Node, second: Node, station: Station):
    logs = [CommandLog(node.database, lambda node=node: node.id) for node in (first, second)]
    await logs[0].opened(command(7), 1, station.id)
    await first.nodes.bury(second.id, NOW)
    with pytest.raises(StorageUnavailable):
        await logs[1].take_over(7, first.id)
    assert await logs[0].revoked(7)


async def test_node_without_a_number_leaves_its_errands_to_who_buries_it(first: Node, second: Node, station: Station):
    numbers = [first.id]
    log = CommandLog(first.database, lambda: numbers[0])
    await log.opened(command(7), 1, station.id)
    numbers[0] = None
    with pytest.raises(StorageUnavailable):
        await log.settled(msgspec.structs.replace(command(7), status="answered", settled_at=NOW), station.id)
    await second.nodes.bury(first.id, NOW)
    assert (await log.find(7)).status == "unknown"


async def test_errand_that_is_opened_during_the_burial_is_not_left_behind(
    first: Node, second: Node, station: Station, rows
):
    log = CommandLog(first.database, lambda: first.id)

    async def open_many() -> None:
        with suppress(StorageUnavailable):
            for id in count(1):
                await log.opened(command(id), 1, station.id)

    opening = asyncio.create_task(open_many())
    while not await rows("SELECT 1 FROM errands LIMIT 1"):
        await asyncio.sleep(0)
    await second.nodes.bury(first.id, NOW)
    async with asyncio.timeout(5):
        await opening
    assert await rows("SELECT DISTINCT status FROM commands") == [("unknown",)]
    assert await rows("SELECT count(*) FROM errands") == [(0,)]


async def test_opening_the_records_ends_commands_that_are_nobodys_errand(
    first: Node, second: Node, station: Station, rows
):
    log = CommandLog(first.database, lambda: first.id)
    for id in (7, 8, 9):
        await log.opened(command(id), 1, station.id)

    def forget(connection: sa.Connection) -> None:
        connection.exec_driver_sql("DELETE FROM errands WHERE command_id = 7")  # From before there were errands.
        connection.exec_driver_sql("UPDATE errands SET node = 999999 WHERE command_id = 8")  # A number of long ago.

    await second.database.writer.run(forget)
    for _ in range(2):
        await open_records(second.database, NOW)
    assert await rows("SELECT id, status FROM commands ORDER BY id") == [(7, "unknown"), (8, "unknown"), (9, "pending")]
    assert await rows("SELECT command_id FROM errands") == [(9,)]
    assert len(await rows("SELECT 1 FROM outbox WHERE events LIKE '%command.settled%'")) == 2
