"""What the system asks of stations by itself, because of something they said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from csms.blocks.asking import Question
from csms.cluster.desk import Desk, Target
from csms.domain.stations import Station
from csms.ocpp.catalogue import Version

log = structlog.get_logger()

Make = Callable[[], Awaitable[Question | tuple[Question, ...] | None]]

MOST = 1000  # Under way at once.


class FollowUps:
    """Each is a command like an operator's: recorded, sent once, settled.

    None is lost for good where the process ends in between: stations repeat what they got no certificate for, and a
    certificate that was issued is brought again at the next start.
    """

    def __init__(self, desk: Desk, most: int = MOST):
        self._desk = desk
        self._most = most
        self._tasks: set[asyncio.Task] = set()

    def after(self, station: Station, make: Make) -> None:
        """The answer to the station's message is on its way: make the question, and ask it."""
        version = station.link.version if station.link is not None else Version.V201
        self.ask(Target(station.id, station.operator_id, station.operator, station.identity, version), make)

    def ask(self, target: Target, make: Make, *, queue: float = 0.0) -> None:
        """`queue`: s to wait for a station that is not connected."""
        if len(self._tasks) >= self._most:
            log.error("followup.dropped", operator=target.operator, station=target.identity, most=self._most,
                      remedy="the authority or the stations are slow; stations ask again")  # fmt: skip
            return
        task = asyncio.create_task(self._carry_out(target, make, queue), name="follow-up")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _carry_out(self, target: Target, make: Make, queue: float) -> None:
        try:
            made = await make()
            for question in (made,) if isinstance(made, Question) else made or ():
                payload = msgspec.json.encode(question.payload)
                await self._desk.ask_raw(target, question.action, payload, queue=queue)
        except Exception:
            log.exception("followup.failed", operator=target.operator, station=target.identity)
