"""REST resource `events`: what happens, as it happens, as server-sent events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from csms.domain.events import EventFilter, types_of
from csms.web.access import Reader
from csms.web.models import Name
from csms.web.problems import Problem
from csms.web.services import Services, services_of

router = APIRouter(tags=["events"])
ServicesOf = Annotated[Services, Depends(services_of)]

ABORT = "csms.abort"  # In the ASGI scope: ends the connection at once, whatever still waits for the client.
_MOST_NAMES = 100
_EXAMPLE = (
    'id: 4711-0\nevent: session.opened\ndata: {"event_id":"4711-0","operator":"default","station":"CS-1",'
    '"type":"session.opened","at":"2026-05-04T12:00:00Z"}\n\n'
)
_STREAM: dict[int | str, Any] = {
    200: {
        "description": "Events without end, in the order they were stored. /api/asyncapi.json describes each.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}

Types = Annotated[
    list[str] | None, Query(max_length=_MOST_NAMES, description="Only these: `session.opened`, `session.*` …")
]
Stations = Annotated[list[str] | None, Query(max_length=_MOST_NAMES, description="Only events of these stations.")]
After = Annotated[
    str | None, Query(description="Begin behind this event_id; 0: with the oldest that is kept. Left out: from now on.")
]
LastEventId = Annotated[str | None, Header(description="The same as `after`, as browsers send it; it goes first.")]


@router.get("/events", response_class=StreamingResponse, responses=_STREAM)
async def follow_events(
    request: Request, services: ServicesOf, caller: Reader, operator: Name | None = None, type: Types = None,
    station_id: Stations = None, after: After = None, last_event_id: LastEventId = None,
) -> StreamingResponse:  # fmt: skip
    """Follow what happens. Whoever loses the connection resumes with `Last-Event-ID` (or `after`) and misses nothing.

    A comment comes every 15 seconds of silence. Who reads too slowly is disconnected and resumes in the same way. When
    what follows the given id is kept no longer, the stream begins with `stream.gap` and goes on with what is kept.
    """
    wanted = event_filter(caller.within(operator), type or [], station_id or [])
    try:
        stream = await services.delivery.follow(wanted, last_event_id or after, request.scope.get(ABORT))
    except ValueError as error:
        raise Problem(422, str(error), path="after") from None
    except RuntimeError as error:
        raise Problem(503, str(error)) from None
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


def event_filter(operator: str | None, types: list[str], stations: list[str]) -> EventFilter:
    """What a caller wants, checked; 422 for a type that there is not."""
    try:
        named = types_of(part for text in types for part in text.split(",") if part)
    except ValueError as error:
        raise Problem(422, str(error), path="type") from None
    return EventFilter(operator, named, frozenset(stations))
