"""Takes one call of a station through its turn: handle, commit, answer.

A handler is a coroutine that nearly never has to wait, so it is stepped from callbacks instead of by a task: no task
exists for a connection, idle or busy. It may therefore await futures and tasks only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from csms.blocks.dispatch import TRANSACTION_ACTIONS, Context, Impostor, answer
from csms.blocks.salvage import keep_raw, received
from csms.domain.ports import StorageUnavailable
from csms.domain.unit import Unit
from csms.ocpp import frames
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.repairs import shortened
from csms.ocpp.signed import SUFFIX

if TYPE_CHECKING:
    from csms.gateway.link import Link

log = structlog.get_logger()

_FAILED = OcppError(Fault.INTERNAL, "The message could not be processed.")
_UNREADABLE = (Fault.FORMAT, Fault.OCCURRENCE, Fault.TYPE, Fault.PROPERTY)


class Turn:
    """One call under way. While it lasts its station is busy; it ends with an answer, or with the conversation."""

    __slots__ = ("_answer", "_call", "_coroutine", "_ctx", "_handling", "_link")

    def __init__(self, link: Link, call: frames.Call, ctx: Context):
        self._link = link
        self._call = call
        self._ctx = ctx
        self._answer = b""
        self._coroutine = answer(call, ctx)
        self._handling = True  # Nothing is on its way to the disk yet.

    def step(self, waited: asyncio.Future | None = None) -> None:
        """Go on until the handler is done or has to wait."""
        if not self._handling:  # It was overdue, and what it waited for comes too late.
            if waited is not None and not waited.cancelled():
                waited.exception()
            return
        try:
            waits_for = self._coroutine.send(None)
        except StopIteration as finished:
            self._answer = finished.value
            self._commit(waited)
        except OcppError as error:
            self._refuse(error, waited)
        except Impostor as error:
            log.warning("station.impostor", **self._facts(), reason=str(error), remedy="revoke the certificate")
            self._link.close(1008, "the certificate is another's")
            self._end(b"", waited)
        except Exception as error:
            self._own_fault(error, waited)
        else:
            waits_for._asyncio_future_blocking = False  # As a task would: the future must not be awaited twice.
            waits_for.add_done_callback(self.step)
            self._link.gateway.turns[self._ctx.station.id] = self

    def overdue(self) -> None:
        """The deadline has passed (T66): an error for what is not about money, and the end of the conversation.

        What waits for a look-up is given up. What is on its way to the disk may still be kept: until that is known
        the station's next turn waits, whatever socket it comes by.
        """
        station = self._ctx.station
        log.error("message.overdue", **self._facts(), remedy="the storage or a handler hangs: look at the disk")
        if not self._about_money:
            self._link.send(frames.call_error(self._call.id, _FAILED, self._ctx.version))
        if station.link is not None and (station.link is self._link or not self._handling):
            station.link.close(1013, "try again later")
        if self._handling:
            self._handling = False
            self._coroutine.close()
            self._end(b"", None)
            self._link.gateway.turn_ended(station)

    def _commit(self, waited: asyncio.Future | None) -> None:
        if self._ctx.repairs:
            log.info("message.repaired", **self._facts(), repairs=self._ctx.repairs)
        ctx, link = self._ctx, self._link
        if not link.announced and ctx.station.link is link:  # What it says first tells of its coming, too.
            link.introduce(ctx.unit)
        unit = ctx.work
        if unit is None:
            self._end(self._answer, waited)
            self._follow_up()
        else:
            self._await_commit(unit, self._kept)

    def _await_commit(self, unit: Unit, kept: Callable[[asyncio.Future[None]], None]) -> None:
        self._handling = False
        self._link.gateway.turns[self._ctx.station.id] = self
        self._ctx.records.commit(unit).add_done_callback(kept)

    def _kept(self, commit: asyncio.Future[None]) -> None:
        error = commit.exception()
        if error is None:
            unit = self._ctx.work
            unit.apply()
            if unit.connection is not None:
                self._link.announced = True
            self._end(self._answer, commit)
            self._follow_up()
            if unit.registration is not None or unit.connection is not None:
                self._link.gateway.ready(unit.station.id)
        else:
            self._own_fault(error, commit)

    def _refuse(self, error: OcppError, waited: asyncio.Future | None) -> None:
        """The station's fault. What it tried to say of a transaction is kept raw: it is told once, then gone (I3)."""
        log.warning("message.refused", **self._facts(), fault=error.fault, error=error.description)
        refusal = frames.call_error(self._call.id, error, self._ctx.version)
        if self._about_money and error.fault in _UNREADABLE:
            self._keep_raw(refusal, keep_raw(self._call, self._ctx, f"refused: {error.description}"))
        else:
            self._end(refusal, waited)

    def _keep_raw(self, answer: bytes, unit: Unit) -> None:
        def kept(commit: asyncio.Future[None]) -> None:
            error = commit.exception()
            if error is None:
                unit.apply()
                self._end(answer, commit)
            else:
                log.error("message.not_stored", **self._facts(), error=str(error))
                self._link.close(1013, "try again later")
                self._end(b"", commit)

        self._await_commit(unit, kept)

    def _own_fault(self, error: BaseException, waited: asyncio.Future | None) -> None:
        """An error of ours: never the answer to a transaction message, which the station would then discard (G3)."""
        if isinstance(error, StorageUnavailable) or (self._about_money and isinstance(error, OSError)):
            # It may go well the next time: the station keeps the message and sends it again.
            log.error("message.not_stored", **self._facts(), error=str(error))
            self._link.close(1013, "try again later")
            self._end(b"", waited)
            return
        log.error("message.failed", **self._facts(), exc_info=error)
        if self._about_money:
            unit = keep_raw(self._call, self._ctx, f"failed: {type(error).__name__}")
            self._keep_raw(received(self._call, self._ctx, unit), unit)
        else:
            self._end(frames.call_error(self._call.id, _FAILED, self._ctx.version), waited)

    def _end(self, answer: bytes, waited: asyncio.Future | None) -> None:
        station = self._ctx.station
        station.busy = False
        self._link.gateway.turns.pop(station.id, None)
        if answer:
            self._link.send(answer)
        self._link.gateway.trail.took(station.id, self._ctx.now, self._call, answer)
        if waited is not None:  # Else whoever took the turn goes on with the next call itself.
            self._link.gateway.turn_ended(station)

    @property
    def _about_money(self) -> bool:
        return self._call.action.removesuffix(SUFFIX) in TRANSACTION_ACTIONS

    def _follow_up(self) -> None:
        if self._ctx.afterwards is not None:
            self._link.gateway.follow_up(self._ctx.station, self._ctx.afterwards)

    def _facts(self) -> dict[str, str]:
        station = self._ctx.station
        return {
            "operator": station.operator, "station": station.identity, "message_id": self._call.id,
            "action": shortened(self._call.action),
        }  # fmt: skip
