"""Takes an operator's command to its station and brings the outcome back, recorded.

Each command ends in exactly one final state, and a call is sent at most once: what was sent and got no answer is
«timeout» or «unknown», never repeated (G9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import msgspec
import structlog

from csms.blocks.asking import capability, changes, may_ask, missing_ids, provoked, with_ids, wrong_with
from csms.blocks.ports import Line
from csms.blocks.secrets import masked
from csms.blocks.security import new_password
from csms.cluster.routing import Errand, Routes, Unroutable
from csms.domain.asked import Change, PasswordSettled
from csms.domain.commands import Command
from csms.domain.ports import StorageUnavailable
from csms.ocpp import tolerance
from csms.ocpp.catalogue import Version, action_of, actions
from csms.ocpp.errors import Fault, OcppError, spelled
from csms.ocpp.peer import Answered, Dropped, Expired, Outcome, Pending, QueueFull, Refused
from csms.ocpp.repairs import shortened
from csms.storage.commands import Claim, CommandLog, Taken
from csms.storage.nodes import AWAY

__all__ = ["Desk", "Taken", "Target"]

log = structlog.get_logger()

_SETTLING = 2.0  # s beyond a station's time in which its silence is noticed and recorded.

Build = Callable[[Version], msgspec.Struct]

_BUSY = "The station had too many earlier commands to answer, or took too long for them. Send it again."
_RECORD_AGAIN = 1.0  # s between attempts to record what the storage did not take.
BOOT_GRACE = 5.0  # s that a station which has just come is given to boot, before it is asked something all the same.


@dataclass(frozen=True, slots=True)
class Target:
    """The station a command is for. `version` is what it spoke last, for the record when it is not connected."""

    id: int
    operator_id: int
    operator: str
    identity: str
    version: Version


@dataclass(slots=True)
class _Order:
    """A command under way: what is to be sent, and how long it is waited for."""

    target: Target
    version: Version
    action: str
    payload: bytes
    timeout: float  # s for the station's answer, once sent
    queue: float  # s for a station that is not there
    recorded: asyncio.Future[Command]
    claim: Claim | None = None
    validate: bool = True  # Whether the schema of the version has to accept it.
    node: int | None = None  # Whose errand it is, where there are several.
    came: float = field(default_factory=monotonic)


class Desk:
    """Where operators' commands are taken."""

    def __init__(
        self,
        line_of: Callable[[int], Line | None],
        records: CommandLog,
        next_id: Callable[[], int],
        clock: Callable[[], datetime],
        timeout: float = 30.0,
        password_hash: Callable[[str, str, bytes], bytes] | None = None,
        boot_grace: float = BOOT_GRACE,
        timeouts: Mapping[str, float] | None = None,
    ):
        """`timeout`: s that a station has for an answer; `timeouts`: by action, where they differ."""
        self._line_of = line_of
        self._records = records
        self._next_id = next_id
        self._clock = clock
        self._timeout = timeout
        self._timeouts = timeouts or {}
        self._password_hash = password_hash  # Of (operator, identity, password).
        self._boot_grace = boot_grace
        self._tasks: set[asyncio.Task] = set()
        self._awaited: dict[int, list[asyncio.Future[None]]] = {}  # Stations that somebody waits for.
        self._closing = False
        self.routes: Routes | None = None  # To other nodes, where there are several.
        self.look_elsewhere = 5.0  # s between looks whether a station that is waited for has come to another node.

    async def ask(self, target: Target, build: Build, *, wait: float | None = None, queue: float = 0.0) -> Command:
        """Ask the station something typed: `build` makes the request for the version it speaks.

        `wait`: s after which the command is given back as it is then, pending; it is carried through all the same.
        `queue`: s to wait for a station that is not connected.
        """
        line = self._line_of(target.id)
        version = line.version if line is not None else target.version
        request = build(version)
        name = action_of(type(request)).name
        return await self._take(target, version, name, msgspec.json.encode(request), wait, queue)

    async def ask_raw(
        self, target: Target, action: str, payload: bytes, *, wait: float | None = None, queue: float = 0.0,
        claim: Claim | None = None, validate: bool = True,
    ) -> Command:  # fmt: skip
        """Send a payload as given, but for an id of ours that it lacks; the caller has judged it.

        `validate`: whether it is judged again for a station that comes with another version.
        `claim`: done in the transaction that records the command; raises `Taken`, with nothing sent, where it is False.
        """
        line = self._line_of(target.id)
        version = line.version if line is not None else target.version
        return await self._take(target, version, action, payload, wait, queue, claim, validate)

    def version_of(self, target: Target) -> Version:
        """The version that the station speaks now, or spoke last."""
        line = self._line_of(target.id)
        return line.version if line is not None else target.version

    def is_away(self, target: Target) -> bool:
        """Whether the station is not connected here."""
        return self._line_of(target.id) is None

    async def held_elsewhere(self, station: int) -> bool:
        """Whether another node holds the station."""
        return self._line_of(station) is None and self.routes is not None and await self.routes.held(station)

    def station_ready(self, station_id: int) -> None:
        """The station has come, or was told whether it may work here: who waits for it looks again."""
        for news in self._awaited.pop(station_id, ()):
            if not news.done():
                news.set_result(None)

    async def close(self) -> None:
        """Wait until every command under way has its final state on record (their links are closed by now)."""
        self._closing = True
        for station in list(self._awaited):
            self.station_ready(station)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    async def _take(
        self, target: Target, version: Version, action: str, payload: bytes, wait: float | None, queue: float,
        claim: Claim | None = None, validate: bool = True,
    ) -> Command:  # fmt: skip
        # Whoever asked may go away; the command is carried through all the same.
        recorded: asyncio.Future[Command] = asyncio.get_running_loop().create_future()
        timeout = self._timeouts.get(action, self._timeout)
        order = _Order(target, version, action, payload, timeout, queue, recorded, claim, validate)
        task = asyncio.create_task(self._carry_out(order), name=f"command-{action}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if wait is not None and (queue or not await self._is_nowhere(target.id)):
            await asyncio.wait({task}, timeout=wait if wait < timeout else wait + _SETTLING)
            if not task.done():
                await asyncio.wait({task, recorded}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    return recorded.result()
        return await asyncio.shield(task)

    async def _is_nowhere(self, station: int) -> bool:
        """Whether the station is connected to no node, so that the outcome is certain."""
        return self._line_of(station) is None and not await self.held_elsewhere(station)

    async def _carry_out(self, order: _Order) -> Command:
        command = await self._record(order)
        return await self._elsewhere(command, order) or await self._here(command, order)

    async def _elsewhere(self, command: Command, order: _Order) -> Command | None:
        """The command as it ended on another node that holds the station; None when it is this one's to carry out."""
        target = order.target
        if self.routes is None or self._line_of(target.id) is not None:
            return None
        try:
            return await self.routes.elsewhere(command, target.id, order.payload, order.timeout)
        except Unroutable as error:
            told = {"code": "Unroutable", "description": str(error), "details": {}}
            return await self._settle(command, order, "offline", error=told)
        except AWAY as error:  # Settled where it is still this node's errand; else whoever has it says how it ended.
            log.error("command.way_failed", command=command.id, error=str(error) or type(error).__name__)
            return await self._settle(command, order, "unknown")

    async def carry_for(self, errand: Errand) -> bool:
        """Carry out what another node has recorded; False when the station is not here (any longer)."""
        line = self._line_of(errand.station)
        if line is None or self._closing:
            return False
        node = self._records.node()
        if not await self._records.take_over(errand.command, errand.origin):
            return True  # It was taken back, or came twice: not to be carried out (again).
        command = await self._records.find(errand.command)
        place = Target(errand.station, 0, command.operator, command.station, line.version)
        recorded = asyncio.get_running_loop().create_future()
        order = _Order(place, line.version, command.action, errand.payload, errand.timeout, 0.0, recorded, node=node)
        task = asyncio.create_task(self._here(command, order), name=f"command-{command.action}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)
        return True

    async def _here(self, command: Command, order: _Order) -> Command:
        while (line := await self._reachable(order)) is None:
            if order.queue and (ended := await self._elsewhere(command, order)) is not None:
                return ended
            if self._line_of(order.target.id) is None and monotonic() < order.came + order.queue and not self._closing:
                continue  # It left the other node, too: it is waited for again.
            return await self._settle(command, order, "offline", error=self._why_not(order))
        if self.routes is not None and self.routes.own() != order.node:
            # This process was taken for lost meanwhile: its errands were ended then, and somebody may have asked again.
            return await self._records.find(command.id) or command
        if order.version is not Version.V16 and line.registration != "accepted":
            line.allow(provoked(order.action, command.request))
        outcome, sent_at = await self._call(line, command, order)
        status, response, error = _told(outcome, line.version, order.action)
        if status == "offline" and self._line_of(order.target.id) is line:
            error = {"code": "NotSent", "description": _BUSY, "details": {}}
        return await self._settle(command, order, status, response, error, sent_at, outcome)

    async def _record(self, order: _Order) -> Command:
        target, request = order.target, msgspec.json.decode(order.payload)
        lacking = missing_ids(order.version, order.action, request)
        command = Command(
            id=self._next_id(), operator=target.operator, station=target.identity, action=order.action,
            request=masked(order.action, request), created_at=self._clock(),
        )  # fmt: skip
        password = new_password(order.action, request)
        hashed = None
        if password is not None and self._password_hash is not None:
            hashed = self._password_hash(target.operator, target.identity, password)
        order.node = self._records.node()
        number = await self._records.opened(command, target.operator_id, target.id, lacking, hashed, order.claim)
        if lacking and number is not None:
            order.payload = msgspec.json.encode(with_ids(request, lacking, number))
            command = msgspec.structs.replace(command, request=with_ids(command.request, lacking, number))
        if not order.recorded.done():
            order.recorded.set_result(command)
        return command

    async def _reachable(self, order: _Order) -> Line | None:
        """The line to the station, once it is there and may be asked this; None when that does not come in time.

        None also when another node holds it.
        """
        station, came = order.target.id, order.came
        request = msgspec.json.decode(order.payload)
        while True:
            line = self._line_of(station)
            patience = order.queue
            if line is not None:
                if line.version is not order.version and not _suits(order, request, line.version):
                    return None
                order.version = line.version
                if may_ask(order.action, request, line.registration):
                    return line
                if line.registration is None:
                    patience = max(order.queue, self._boot_grace)
            left = came + patience - monotonic()
            if left <= 0 or self._closing:
                # A station that talks without ever booting is spoken to all the same.
                return line if line is not None and line.registration is None else None
            if line is not None or self.routes is None:
                await self._news_of(station, left)
                continue
            await self._news_of(station, min(left, self.look_elsewhere))
            if self._line_of(station) is None and await self.routes.held(station):
                return None

    async def _news_of(self, station: int, within: float) -> None:
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._awaited.setdefault(station, [])
        waiting.append(news)
        await asyncio.wait({news}, timeout=within)
        if news in waiting:
            waiting.remove(news)
        if not waiting:
            self._awaited.pop(station, None)

    def _why_not(self, order: _Order) -> dict[str, Any] | None:
        line = self._line_of(order.target.id)
        if line is None:
            return None
        if line.version is not order.version:
            told = f"The station came back with OCPP {line.version}; the command is one of OCPP {order.version}."
        else:
            told = f"The station's boot was answered {line.registration}: it may not be asked this before acceptance."
        return {"code": "NotSent", "description": told, "details": {}}

    async def _call(self, line: Line, command: Command, order: _Order) -> tuple[Outcome, datetime | None]:
        """How it ended, and when it was sent; None: it was not."""
        settled: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        message_id = str(command.id)

        def on_settled(outcome: Outcome) -> None:
            if not settled.done():
                settled.set_result(outcome)

        # Its turn has to come as soon as its answer would have to: a start sent much later surprises people.
        patience = max(order.timeout, order.queue)
        pending = Pending(message_id, command.action, order.payload, order.timeout, on_settled, patience)
        try:
            line.call(pending)
        except QueueFull:
            return Dropped(message_id, sent=False), None
        outcome = await settled
        if isinstance(outcome, Dropped) and not outcome.sent:
            return outcome, None
        return outcome, self._clock() - timedelta(seconds=monotonic() - pending.sent)

    async def _settle(
        self, command: Command, order: _Order, status: str, response: Any = None, error: Any = None,
        sent_at: datetime | None = None, outcome: Outcome | None = None,
    ) -> Command:  # fmt: skip
        now, target = self._clock(), order.target
        command = msgspec.structs.replace(
            command, status=status, response=response, error=error, settled_at=now, sent_at=sent_at
        )
        log.info(
            "command.settled", operator=target.operator, station=target.identity, command=command.id,
            action=command.action, status=status,
        )  # fmt: skip
        answer = outcome.payload if isinstance(outcome, Answered) and status == "answered" else None
        taken = sent_at is not None and status != "error"
        changed = changes(order.version, order.action, order.payload, answer) if taken else []
        if not taken and new_password(order.action, msgspec.json.decode(order.payload)):
            changed = [PasswordSettled(taken=False)]
        changed += capability(order.action, status, error)
        try:
            if not await self._records.settled(command, target.id, changed):
                return await self._records.find(command.id) or command  # It is another node's errand by now.
        except StorageUnavailable as error:
            # The station may have acted: who asked learns it at once, the record as soon as it can be written.
            log.error("command.not_recorded", command=command.id, status=status, error=str(error))
            task = asyncio.create_task(self._settle_later(command, target.id, changed), name="command-record")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return command

    async def _settle_later(self, command: Command, station_id: int, changed: Collection[Change]) -> None:
        """Until then it stands as pending; if this server ends first, it becomes «unknown»."""
        while not self._closing:
            await asyncio.sleep(_RECORD_AGAIN)
            with suppress(StorageUnavailable):
                await self._records.settled(command, station_id, changed)
                return


def _suits(order: _Order, request: Any, version: Version) -> bool:
    """Whether what was judged for another version may be said in this one (T70)."""
    return not order.validate or wrong_with(version, order.action, request) is None


def _told(outcome: Outcome, version: Version, action: str) -> tuple[str, Any, Any]:
    """(status, response, error) of an outcome."""
    match outcome:
        case Answered(payload):
            return _understood(payload, version, action)
        case Refused(error, code):
            return "error", None, {"code": code, "description": error.description, "details": error.details}
        case Expired():
            return "timeout", None, None
        case Dropped(sent=True):
            return "unknown", None, None
        case _:
            return "offline", None, None


def _understood(payload: bytes, version: Version, action: str) -> tuple[str, Any, Any]:
    """The answer as it was sent, for whoever asked to judge; an error is only what is no object at all."""
    try:
        response = msgspec.json.decode(payload)
        if response is None and version is Version.V16:
            response = {}  # 1.6-J lets an empty payload be written as null.
        if not isinstance(response, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        told = f"The station's answer cannot be understood: {error}"
        return "error", None, {"code": spelled(Fault.FORMAT, version), "description": told, "details": {}}
    known = actions(version).get(action)
    if known is not None:
        try:
            tolerance.decode(known, payload, response=True)
        except OcppError as error:
            log.warning("answer.unreadable", action=action, version=version, error=shortened(error.description))
    return "answered", response, None
