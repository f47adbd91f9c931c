"""Functional block H: a reservation ends, used by a session or by the station's word."""

from __future__ import annotations

from csms.blocks.dispatch import Context, answers
from csms.blocks.reports import keep
from csms.domain.events import ReservationEnded
from csms.domain.sessions import Session
from csms.ocpp import v201

RESERVATION = "reservation"
OUTCOME = {"Expired": "expired", "Removed": "removed"}


@answers
async def update(request: v201.ReservationStatusUpdate, ctx: Context) -> v201.ReservationStatusUpdateResponse:
    _ended(ctx, request.reservation_id, OUTCOME[request.reservation_update_status])
    return v201.ReservationStatusUpdateResponse()


def used(ctx: Context, session: Session) -> None:
    """The session began on a reservation, if it names one."""
    if session.reservation_id is not None:
        _ended(ctx, session.reservation_id, "used", session.id)


def _ended(ctx: Context, reservation: int, outcome: str, session: int | None = None) -> None:
    keep(ctx, RESERVATION, str(reservation), {"outcome": outcome} | ({"session": session} if session else {}))
    ctx.unit.events.append(ReservationEnded(at=ctx.now, reservation=reservation, outcome=outcome, session=session))
