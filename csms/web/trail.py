"""REST: the message trail: what stations and the system said to each other lately."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from csms.domain.trail import Direction, Exchange, ExchangeOutcome, TooManyTraces
from csms.storage.paging import BadCursor, Row
from csms.web.access import Reader, Steerer
from csms.web.models import Moment, Request, Shape
from csms.web.paging import Page
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of
from csms.web.sessions import find_session
from csms.web.stations import Operator, find_station

router = APIRouter()
ServicesOf = Annotated[Services, Depends(services_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(description="`next` of the page before.")]

_LONGEST = timedelta(days=7)
_AROUND = timedelta(minutes=5)  # A session's messages begin and end about with it; clocks differ.


class MessageView(Shape):
    at: datetime = Field(description="When it came in or went out.")
    direction: Direction
    action: str | None = None
    message_id: str | None = None
    outcome: ExchangeOutcome
    frame: Any = Field(description="As sent, with secrets masked; text where it is no JSON.")
    answered_at: datetime | None = None
    answer: Any = None
    reason: str | None = Field(None, description="Why it was not taken.")


class TraceChange(Request):
    until: Moment = Field(description="At most a week from now.")


class TraceView(Shape):
    until: datetime | None = Field(None, description="null: the station is not traced.")


@router.get("/stations/{id}/messages", tags=["trail"], responses=described(409))
async def show_messages(
    id: str, services: ServicesOf, caller: Reader, operator: Operator = None, action: str | None = None,
    limit: Limit = 100, cursor: Cursor = None,
) -> Page[MessageView]:  # fmt: skip
    """The station's latest messages both ways with their outcome, the latest first.

    They are kept in memory, for all stations of this node together (`trail_bytes`), without heartbeats; all of them for
    a station that is traced.
    """
    station = await _held_here(services, await find_station(services, caller, operator, id))
    found = services.trail.of(station["number"], before=_number(cursor), action=action)
    own = itertools.takewhile(lambda exchange: exchange.at >= station["created_at"], found)  # Numbers are used again.
    return _page(own, limit)


@router.get("/sessions/{id}/messages", tags=["trail"], responses=described(409))
async def show_session_messages(
    id: int, services: ServicesOf, caller: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Page[MessageView]:
    """The latest messages that concern a session, as far as they are still kept."""
    session = await find_session(services, caller, id)
    station = await _held_here(
        services, await find_station(services, caller, session["operator"], session["station_id"])
    )
    concerns = _about(session["station_transaction_id"], session["received_at"], session["ended_at"])
    found = services.trail.of(station["number"], before=_number(cursor))
    return _page(filter(concerns, found), limit)


@router.get("/stations/{id}/trace", tags=["trail"], responses=described(409))
async def show_trace(id: str, services: ServicesOf, caller: Reader, operator: Operator = None) -> TraceView:
    """Until when everything that the station says is kept."""
    station = await _held_here(services, await find_station(services, caller, operator, id))
    until = services.trail.traced_until(station["number"])
    return TraceView(until=None if until is None else datetime.fromtimestamp(until, UTC))


@router.put("/stations/{id}/trace", tags=["trail"], responses=described(409))
async def trace_station(
    id: str, change: TraceChange, services: ServicesOf, caller: Steerer, operator: Operator = None
) -> TraceView:
    """Keep everything that the station says until then, heartbeats too, in 4 MiB of its own."""
    station = await _held_here(services, await find_station(services, caller, operator, id))
    if not services.clock() < change.until <= services.clock() + _LONGEST:
        raise Problem(422, "A trace ends within a week from now.", path="until")
    try:
        services.trail.trace(station["number"], change.until.timestamp())
    except TooManyTraces as error:
        raise Problem(409, str(error)) from None
    return TraceView(until=change.until)


@router.delete("/stations/{id}/trace", tags=["trail"], status_code=204, responses=described(409))
async def end_trace(id: str, services: ServicesOf, caller: Steerer, operator: Operator = None) -> None:
    """Keep no more than of other stations. What was kept can still be read for a while."""
    station = await _held_here(services, await find_station(services, caller, operator, id))
    if services.trail.traced_until(station["number"]) is not None:
        services.trail.trace(station["number"], services.clock().timestamp())


async def _held_here(services: Services, station: Row) -> Row:
    """The station, unless another node holds it: what it says is kept in that node's memory."""
    if await services.desk.held_elsewhere(station["number"]):
        raise Problem(
            409,
            f"Station {station['id']!r} is connected to another node, which keeps its messages: ask that node's API.",
        )
    return station


def _page(found: Iterable[Exchange], limit: int) -> Page[MessageView]:
    items = list(itertools.islice(found, limit + 1))
    more = str(items[limit - 1].number) if len(items) > limit else None
    return Page(items=[MessageView.model_validate(each) for each in items[:limit]], next=more)


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadCursor(f"{cursor[:50]!r} is no cursor: send `next` of the page before.")
    return int(cursor)


def _about(transaction: str, began: datetime, ended: datetime | None) -> Callable[[Exchange], bool]:
    """Whether an exchange names the transaction, at the session's time: a station may use its numbers again."""

    def concerns(exchange: Exchange) -> bool:
        if exchange.at < began - _AROUND or (ended is not None and exchange.at > ended + timedelta(days=1)):
            return False
        return _names(exchange.frame, transaction) or _names(exchange.answer, transaction)

    return concerns


def _names(value: Any, transaction: str) -> bool:
    if isinstance(value, dict):
        given = value.get("transactionId")
        return (given is not None and str(given) == transaction) or _names(list(value.values()), transaction)
    return isinstance(value, list) and any(_names(inner, transaction) for inner in value)
