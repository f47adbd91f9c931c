"""Functional block H: a reservation is made, cancelled, used by a session, or ended by the station."""

from __future__ import annotations

from collections.abc import Iterator

from csms.blocks.asking import settles
from csms.blocks.dispatch import Context, answers
from csms.domain.asked import ReservationMade, ReservationMoved
from csms.domain.events import ReservationEnded
from csms.domain.sessions import Session
from csms.ocpp import v16, v201

UNKNOWN = "unknown"  # Asked for, and no answer came: the station may hold it.
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
    ctx.unit.reservations.append(ReservationMoved(reservation, outcome, session))
    ctx.unit.events.append(ReservationEnded(at=ctx.now, reservation=reservation, outcome=outcome, session=session))


@settles
def reserved_16(request: v16.ReserveNow, response: v16.ReserveNowResponse | None) -> Iterator[ReservationMade]:
    yield ReservationMade(
        reservation_id=request.reservation_id, status=response.status.lower() if response else UNKNOWN,
        token=request.id_tag, group=request.parent_id_tag, expires_at=request.expiry_date,
        evse_id=request.connector_id or None, connector_id=1 if request.connector_id else None,
    )  # fmt: skip


@settles
def reserved_2x(request: v201.ReserveNow, response: v201.ReserveNowResponse | None) -> Iterator[ReservationMade]:
    yield ReservationMade(
        reservation_id=request.id, status=response.status.lower() if response else UNKNOWN,
        token=request.id_token.id_token, group=request.group_id_token.id_token if request.group_id_token else None,
        expires_at=request.expiry_date_time, evse_id=request.evse_id, connector_type=request.connector_type,
    )  # fmt: skip


@settles
def cancelled(
    request: v16.CancelReservation | v201.CancelReservation,
    response: v16.CancelReservationResponse | v201.CancelReservationResponse | None,
) -> Iterator[ReservationMoved]:
    if response is not None and response.status == "Accepted":
        yield ReservationMoved(request.reservation_id, "cancelled")
