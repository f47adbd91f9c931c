"""Takes a command whose station is connected elsewhere to the node that holds it, and waits for its end.

The law: a command is carried out by the node whose errand it is, in the database; it changes hands there, at most once, and
only from the node that recorded it. So it is sent at most once, whatever becomes of nodes and broker meanwhile, and only
the node whose errand it is writes down how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import msgspec

from csms.domain.commands import Command
from csms.domain.ports import StorageUnavailable
from csms.storage.commands import CommandLog
from csms.storage.nodes import AWAY, Nodes

_TAKEN_WITHIN = 5.0  # s that the other node has to show that it is there.
_GRACE = 10.0  # s that its answer may come later than the station's.
_TRIES = 3  # Stations move; where it went is looked up as often.
_PAUSE = 0.5  # s


class Errand(msgspec.Struct, frozen=True, array_like=True):
    """A command to carry out for another node. Its payload is here only: what is on record has no passwords."""

    command: int
    origin: int
    station: int
    payload: bytes
    timeout: float


class Unroutable(Exception):
    """The station is connected to another node, and there is no way to it; nothing was sent."""


class Bus(Protocol):
    """The way to other nodes."""

    @property
    def connected(self) -> bool: ...

    async def ask(self, node: int, request: bytes, within: float) -> bytes | None:
        """Its answer; None when none came in time."""


class Routes:
    """Hands errands over, and takes those of others."""

    def __init__(
        self,
        nodes: Nodes,
        records: CommandLog,
        own: Callable[[], int | None],
        bus: Bus | None,
        former: Callable[[], Collection[int]] = list,
    ):
        """`own`: this node's number now. `bus`: None where no broker is configured.

        `former`: numbers that this process had and that are not buried yet: what they hold is held by nobody.
        """
        self.own = own
        self._nodes = nodes
        self._records = records
        self._bus = bus
        self._former = former

    async def held(self, station: int) -> bool:
        """Whether another node holds the station now, as far as can be seen."""
        try:
            return await self._other(station) is not None
        except AWAY:
            return False

    async def elsewhere(self, command: Command, station: int, payload: bytes, timeout: float) -> Command | None:
        """The command as it ended on the node that holds the station; None when no other node does.

        Raises Unroutable when it cannot be got there: it is still this node's errand then; one of `AWAY` when the
        database fails on the way: then only the record knows whose errand it is.
        """
        own = self.own()
        for _ in range(_TRIES):
            other = await self._other(station)
            if other is None:
                return None
            if own is None:
                raise Unroutable(f"The station is connected to node {other}, and this process is no node now.")
            if self._bus is None:
                raise Unroutable(
                    f"The station is connected to node {other}. Nodes need CSMS_MQTT_URL to reach each other."
                )
            if not self._bus.connected:
                raise Unroutable(f"The station is connected to node {other}, and the broker is away.")
            errand = Errand(command.id, own, station, payload, timeout)
            answer = await self._carried(other, errand)
            if answer != MOVED:
                return await self._records.find(command.id)
            await asyncio.sleep(_PAUSE)
        raise Unroutable("The station moves from node to node.")

    async def _other(self, station: int) -> int | None:
        """The other node that holds the station now."""
        holder = await self._nodes.holder(station)
        mine = holder is None or holder.node == self.own() or holder.node in self._former()
        return None if mine else holder.node

    async def _carried(self, node: int, errand: Errand) -> bytes:
        """What the node answered; Unroutable when it did not even take the errand."""
        asking = asyncio.ensure_future(self._bus.ask(node, msgspec.msgpack.encode(errand), errand.timeout + _GRACE))
        try:
            done, _ = await asyncio.wait({asking}, timeout=_TAKEN_WITHIN)
            if not done and await self._records.revoked(errand.command):
                raise Unroutable(f"Node {node}, to which the station is connected, does not answer.")
            answer = await asking
            if not answer and await self._records.revoked(errand.command):
                raise Unroutable(f"Node {node}, to which the station is connected, cannot be reached.")
            return answer or b""
        finally:
            asking.cancel()

    async def answer(self, request: bytes, carry_out: Callable[[Errand], Awaitable[bool]]) -> bytes:
        """Another node's errand: `carry_out` returns whether the station was here."""
        try:
            errand = msgspec.msgpack.decode(request, type=Errand)
        except msgspec.DecodeError:
            return b""
        try:
            return DONE if await carry_out(errand) else MOVED
        except StorageUnavailable:
            return b""


DONE, MOVED = b"done", b"moved"
