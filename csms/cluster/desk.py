"""Takes an operator's command to its station and brings the outcome back, recorded.

Each command ends in exactly one final state, and a call is sent at most once: what was sent and got no answer is
«timeout» or «unknown», never repeated (G9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import structlog

from csms.blocks.ports import Line
from csms.domain.commands import Command
from csms.domain.ports import StorageUnavailable
from csms.ocpp.catalogue import Version, action_of, actions
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.peer import Answered, Dropped, Expired, Outcome, Pending, QueueFull, Refused
from csms.storage.commands import CommandLog

log = structlog.get_logger()

_object = msgspec.json.Decoder(dict[str, Any]).decode

Build = Callable[[Version], msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Target:
    """The station a command is for. `version` is what it spoke last, for the record when it is not connected."""

    id: int
    operator_id: int
    operator: str
    identity: str
    version: Version


class Desk:
    """Where operators' commands are taken."""

    def __init__(
        self,
        line_of: Callable[[int], Line | None],
        records: CommandLog,
        next_id: Callable[[], int],
        clock: Callable[[], datetime],
        timeout: float = 30.0,
    ):
        self._line_of = line_of
        self._records = records
        self._next_id = next_id
        self._clock = clock
        self._timeout = timeout
        self._tasks: set[asyncio.Task] = set()

    async def ask(self, target: Target, build: Build, *, timeout: float | None = None) -> Command:
        """Ask the station something typed: `build` makes the request for the version it speaks."""
        line = self._line_of(target.id)
        request = build(line.version if line is not None else target.version)
        name = action_of(type(request)).name
        return await self._take(target, line, name, msgspec.json.encode(request), timeout)

    async def ask_raw(
        self, target: Target, action: str, payload: dict[str, Any], *, timeout: float | None = None
    ) -> Command:
        """Send a payload as given, keys in the given order; the caller has judged it."""
        return await self._take(target, self._line_of(target.id), action, msgspec.json.encode(payload), timeout)

    async def close(self) -> None:
        """Wait until every command under way has its final state on record (their links are closed by now)."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    async def _take(
        self, target: Target, line: Line | None, action: str, payload: bytes, timeout: float | None
    ) -> Command:
        # Whoever asked may go away; the command is carried through all the same.
        work = self._carry_out(target, line, action, payload, timeout or self._timeout)
        task = asyncio.create_task(work, name=f"command-{action}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _carry_out(
        self, target: Target, line: Line | None, action: str, payload: bytes, timeout: float
    ) -> Command:
        command = Command(
            id=self._next_id(), operator=target.operator, station=target.identity, action=action,
            request=msgspec.json.decode(payload), created_at=self._clock(),
        )  # fmt: skip
        await self._records.opened(command, target.operator_id, target.id)
        # Meanwhile the station may have gone (nobody would answer on that line) or have come back on another.
        current = self._line_of(target.id)
        if line is None or current is None or current.version is not line.version:
            return await self._settle(command, target, "offline")
        line = current
        outcome = await self._call(line, command, payload, timeout)
        return await self._settle(command, target, *_told(outcome, line.version, action), sent=_was_sent(outcome))

    async def _call(self, line: Line, command: Command, payload: bytes, timeout: float) -> Outcome:
        settled: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        message_id = str(command.id)

        def on_settled(outcome: Outcome) -> None:
            if not settled.done():
                settled.set_result(outcome)

        try:
            line.call(Pending(message_id, command.action, payload, timeout, on_settled))
        except QueueFull:
            return Dropped(message_id, sent=False)
        return await settled

    async def _settle(
        self, command: Command, target: Target, status: str, response: Any = None, error: Any = None,
        sent: bool = False,
    ) -> Command:  # fmt: skip
        now = self._clock()
        command = msgspec.structs.replace(
            command, status=status, response=response, error=error, settled_at=now,
            sent_at=command.created_at if sent else None,
        )  # fmt: skip
        log.info(
            "command.settled", operator=target.operator, station=target.identity, command=command.id,
            action=command.action, status=status,
        )  # fmt: skip
        try:
            await self._records.settled(command)
        except StorageUnavailable as error:
            # The station may have acted: who asked learns it; on record it becomes «unknown» at the next start.
            log.error("command.not_recorded", command=command.id, status=status, error=str(error))
        return command


def _was_sent(outcome: Outcome) -> bool:
    return not (isinstance(outcome, Dropped) and not outcome.sent)


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
    known = actions(version).get(action)
    try:
        if known is not None:
            known.decode_response(payload)
        return "answered", _object(payload), None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        refusal = OcppError(Fault.FORMAT, f"The station's answer cannot be understood: {error}")
        return "error", None, {"code": refusal.fault.value, "description": refusal.description, "details": {}}
