"""This process as one node of many: its lease, the stations it holds, and those of nodes that are no more.

The law: who could not renew its lease takes nobody in, and after a while lets its stations go; who finds itself declared
lost begins anew under another number, and what it still had under the old one does not count (`storage.nodes`). The node
that has served longest leads: it buries those whose lease has run out, and carries events to the outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import structlog

from csms.storage.nodes import AWAY, Changed, Claimed, Nodes

log = structlog.get_logger()

_OVERLAP = 15_000_000  # µs that changes are looked for again: a transaction tells its time before it is kept.


@dataclass(frozen=True, slots=True)
class Lease:
    """Times in seconds."""

    every: float = 2.0  # Between renewals.
    lasts: float = 8.0  # After the last renewal others may take the node for lost.


class Membership:
    """Joins, stays, and leaves."""

    def __init__(
        self,
        nodes: Nodes,
        name: str,
        *,
        follow: Callable[[int], None],
        let_go: Callable[[], None],
        changed: Callable[[Changed], None],
        clock: Callable[[], datetime],
        patience: float = 25.0,
        lease: Lease | None = None,
    ):
        """`patience`: s without the database after which a node lets its stations go."""
        self.id: int | None = None
        self.leader: int | None = None
        self.buried = 0  # Nodes whose stations this one has marked away.
        self.taken_over = 0  # Stations that came here while another node held them.
        self.others = 0  # Nodes that live beside it.
        self.on_others: Callable[[int], None] = lambda others: None
        self.on_taken: Callable[[int, int], None] = lambda station_id, former: None
        self._nodes = nodes
        self._name = name
        self._follow = follow
        self._let_go = let_go
        self._changed = changed
        self._clock = clock
        self._patience = patience
        self._lease = lease or Lease()
        self._since = 0.0  # Since when it has lived without a gap (s, monotonic, as the other times here).
        self._renewed = 0.0
        self.left: list[int] = []  # Numbers this process had, and whose stations it has to mark away.
        self._looked = 0  # µs, the database's clock: up to when changes were looked for.
        self._look = asyncio.Event()

    @property
    def lives(self) -> bool:
        """Whether the others count on this node: it may take stations in."""
        return self.id is not None and monotonic() - self._renewed < self._lease.lasts

    @property
    def leads(self) -> bool:
        return self.lives and self.leader == self.id

    async def join(self) -> None:
        """Become a node; raises what the database raises when it is away."""
        began = monotonic()
        self.id = await self._nodes.join(self._name, self._lease.lasts)
        self._since = self._renewed = began
        self._follow(self.id)
        log.info("node.joined", node=self.id, name=self._name)

    async def run(self) -> None:
        """Stay a node until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._lease.lasts / 2):
                    await self._stay()
            except AWAY as error:
                self._missed(error)
            except Exception:
                log.exception("node.failed")
            self._look.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease.every):
                    await self._look.wait()

    async def leave(self) -> None:
        """Say goodbye: what is still ours is marked away at once, not when the lease runs out."""
        number, self.id = self.id, None
        if number is not None:
            self.left.append(number)
        with suppress(*AWAY):
            async with asyncio.timeout(self._lease.lasts):
                await self._bury_left()

    async def claim(self, stations: Collection[int]) -> dict[int, Claimed]:
        """Take these stations, from whoever holds them; none when the others have declared us lost."""
        if self.id is None:
            return {}
        claimed = await self._nodes.claim(self.id, stations)
        for station, claim in claimed.items():
            if claim.taken_from is not None and claim.taken_from not in self.left:
                self.taken_over += 1
                self.on_taken(station, claim.taken_from)
        return claimed

    def look(self) -> None:
        """Something has changed: see what it is now, not at the next renewal."""
        self._look.set()

    async def while_leading(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` whenever this node leads; it is cancelled as soon as it does not."""
        while True:
            while not self.leads:
                await asyncio.sleep(self._lease.every / 4)
            task = asyncio.ensure_future(work())
            try:
                while self.leads and not task.done():
                    await asyncio.wait({task}, timeout=self._lease.every / 4)
            finally:
                task.cancel()
                await asyncio.wait({task})
            if not task.cancelled() and task.exception() is not None:
                log.error("leader.work_failed", exc_info=task.exception())
                await asyncio.sleep(self._lease.every)

    async def _stay(self) -> None:
        began = monotonic()
        if self.id is None:
            await self.join()
        renewed = await self._nodes.renew(self.id, self._lease.lasts)
        if renewed is None:
            log.error("node.declared_lost", node=self.id, remedy="look at the way to the database, and at the load")
            self._lose()
            await self.join()
            return
        if began - self._renewed > self._lease.lasts:
            self._since = began
        self._renewed = began
        self.leader = renewed.leader
        if renewed.others != self.others:
            self.others = renewed.others
            self.on_others(self.others)
        if not self._looked:
            self._looked = renewed.now
        for change in await self._nodes.changed(self.id, self._looked - _OVERLAP):
            self._changed(change)
        self._looked = renewed.now
        # Who was away itself does not judge: when all were, the others are just on their way back.
        if self.leads and began - self._since > self._lease.lasts:
            for lapsed in renewed.lapsed:
                away = await self._nodes.bury(lapsed, self._clock())
                self.buried += 1
                log.warning("node.buried", node=lapsed, stations=away)
        await self._bury_left()  # Last: it may take long, and stations that are back are here meanwhile.

    async def _bury_left(self) -> None:
        while self.left:
            away = await self._nodes.bury(self.left[0], self._clock())
            log.info("node.left", node=self.left.pop(0), stations=away)

    def _missed(self, error: BaseException) -> None:
        silent = monotonic() - self._renewed
        log.warning("node.not_renewed", node=self.id, seconds=round(silent), error=str(error) or type(error).__name__)
        if self.id is not None and silent > self._patience:
            log.error("node.lets_go", node=self.id, remedy="look at the database and at the way to it")
            self.left.append(self.id)
            self._lose()

    def _lose(self) -> None:
        """Nothing that this number held is ours any longer."""
        self.id = None
        self._let_go()
