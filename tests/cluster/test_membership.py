"""One node of many: it lives by its lease, lets go without it, and the longest-serving one buries the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from csms.cluster.membership import Lease, Membership
from csms.storage.database import Database, open_database
from csms.storage.nodes import Claimed, Nodes, holding_lock
from tests.conftest import NOW
from tests.postgres import Postgres, cleared

LEASE = Lease(every=0.05, lasts=1.0)


class Way:
    """The nodes' way to the database, to be cut."""

    def __init__(self, nodes: Nodes):
        self._nodes = nodes
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        if self.cut:
            raise ConnectionError("cut")
        return getattr(self._nodes, name)


class Node:
    def __init__(self, database: Database):
        self.way = Way(Nodes(database))
        self.numbers: list[int] = []
        self.let_go = 0
        self.membership = Membership(
            self.way, "test", follow=self.numbers.append, let_go=self._let_go, changed=lambda change: None,
            clock=lambda: NOW, patience=1.5, lease=LEASE,
        )  # fmt: skip

    def _let_go(self) -> None:
        self.let_go += 1

    async def start(self) -> None:
        await self.membership.join()
        self.task = asyncio.create_task(self.membership.run())

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    opened = await open_database(await cleared(postgres), patience=0.5)
    yield opened
    await opened.close()


@pytest.fixture
async def nodes(database: Database) -> AsyncIterator[list[Node]]:
    made = [Node(database), Node(database)]
    for node in made:
        await node.start()
    yield made
    for node in made:
        await node.stop()


async def _claimed(stations: dict[int, Claimed]) -> dict[int, Claimed]:
    return stations


async def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_nodes_live_and_the_first_leads(nodes: list[Node]):
    first, second = nodes
    await until(lambda: first.membership.leads and second.membership.leader == first.membership.id)
    assert second.membership.lives
    assert not second.membership.leads


async def test_cut_off_node_lets_go_and_is_buried_then_comes_back_as_another(nodes: list[Node]):
    first, second = nodes
    await until(lambda: first.membership.leads)
    first.way.cut = True
    await until(lambda: not first.membership.lives)
    await until(lambda: first.let_go == 1)
    await until(lambda: second.membership.leads)
    first.way.cut = False
    await until(lambda: first.membership.lives)
    assert first.numbers[-1] > first.numbers[0]
    await until(lambda: second.membership.leads)


async def test_node_is_back_though_the_burial_of_its_former_number_takes_long(nodes: list[Node], database: Database):
    node = nodes[1]
    await until(lambda: node.membership.lives)
    former = node.membership.id
    under_way = await database.writer._connect()
    await under_way.execute("SET idle_in_transaction_session_timeout = 0")
    await under_way.execute(f"BEGIN; {holding_lock(former)}")  # As what it had begun to write and what hangs.
    node.way.cut = True
    await until(lambda: node.let_go == 1)
    node.way.cut = False
    await until(lambda: node.membership.lives)
    assert node.membership.id > former
    node.way.claim = lambda number, stations: _claimed({7: Claimed(2, former), 8: Claimed(2, former - 1)})
    taken: list[int] = []
    node.membership.on_taken = lambda station, former: taken.append(station)
    await node.membership.claim([7, 8])
    assert taken == [8] and node.membership.taken_over == 1, "its own stations come back to it"
    await under_way.execute("ROLLBACK")
    await under_way.close()
    await until(lambda: not node.membership.left)


async def test_short_gap_costs_nothing(nodes: list[Node]):
    first, second = nodes
    await until(lambda: first.membership.leads)
    for node in nodes:  # The database was away for all: nobody judges the others.
        node.way.cut = True
    await until(lambda: not first.membership.lives and not second.membership.lives)
    for node in nodes:
        node.way.cut = False
    await until(lambda: first.membership.leads and second.membership.lives)
    assert [node.let_go for node in nodes] == [0, 0]
    assert [len(node.numbers) for node in nodes] == [1, 1]


async def test_work_of_the_leader_moves_with_it(nodes: list[Node]):
    first = nodes[0]
    at_work: set[int] = set()

    async def work(number: int) -> None:
        at_work.add(number)
        try:
            await asyncio.Event().wait()
        finally:
            at_work.discard(number)

    tasks = [
        asyncio.create_task(node.membership.while_leading(lambda number=number: work(number)))
        for number, node in enumerate(nodes)
    ]
    await until(lambda: at_work == {0})
    first.way.cut = True
    await until(lambda: at_work == {1})
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_node_that_leaves_is_missed_by_nobody(nodes: list[Node], database: Database):
    first, second = nodes
    await first.stop()
    await first.membership.leave()
    await until(lambda: second.membership.leads)
    assert second.membership.buried == 0


async def test_each_node_knows_how_many_live_beside_it(nodes: list[Node]):
    told: list[int] = []
    nodes[0].membership.on_others = told.append
    await until(lambda: [node.membership.others for node in nodes] == [1, 1])
    await nodes[1].stop()
    await nodes[1].membership.leave()
    await until(lambda: nodes[0].membership.others == 0)
    assert told[-1] == 0
