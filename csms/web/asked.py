"""REST resources `reservations`, `charging-profiles`, `local-lists`: what stations were asked for and granted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query

from csms.domain.asked import reservation_state
from csms.web.access import Reader
from csms.web.models import Name, Page, Shape
from csms.web.services import Services, services_of

router = APIRouter()
ServicesOf = Annotated[Services, Depends(services_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class ReservationView(Shape):
    id: int
    operator: str
    station_id: str
    reservation_id: int
    status: str
    token: str
    group: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    connector_type: str | None = None
    expires_at: datetime
    session_id: int | None = None
    created_at: datetime
    changed_at: datetime


class ProfileView(Shape):
    operator: str
    station_id: str
    profile_id: int
    evse_id: int
    purpose: str
    stack_level: int
    profile: dict[str, Any]
    installed_at: datetime


class LocalListView(Shape):
    operator: str
    station_id: str
    version: int
    entries: list[dict[str, Any]]
    sent_at: datetime


@router.get("/reservations", tags=["reservations"])
async def list_reservations(
    services: ServicesOf,
    caller: Reader,
    operator: Name | None = None,
    station_id: str | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Page[ReservationView]:
    """The latest first. `status`: accepted, or the station's refusal; cancelled, used, expired, removed; unknown."""
    rows, next_cursor = await services.asked.reservations(
        operator=caller.within(operator), station=station_id, limit=limit, cursor=cursor
    )
    now = services.clock()
    items = [
        ReservationView(**{**row, "status": reservation_state(row["status"], row["expires_at"], now)}) for row in rows
    ]
    return Page(items=items, next=next_cursor)


@router.get("/charging-profiles", tags=["charging-profiles"])
async def list_profiles(
    services: ServicesOf,
    caller: Reader,
    operator: Name | None = None,
    station_id: str | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Page[ProfileView]:
    """What was installed over this system, by station."""
    rows, next_cursor = await services.asked.profiles(
        operator=caller.within(operator), station=station_id, limit=limit, cursor=cursor
    )
    items = [ProfileView(**{**row, "profile": msgspec.json.decode(row["profile"])}) for row in rows]
    return Page(items=items, next=next_cursor)


@router.get("/local-lists", tags=["local-lists"])
async def list_local_lists(
    services: ServicesOf,
    caller: Reader,
    operator: Name | None = None,
    station_id: str | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Page[LocalListView]:
    """The lists that stations have, as far as they accepted what was sent."""
    rows, next_cursor = await services.asked.local_lists(
        operator=caller.within(operator), station=station_id, limit=limit, cursor=cursor
    )
    items = [LocalListView(**{**row, "entries": list(msgspec.json.decode(row["entries"]).values())}) for row in rows]
    return Page(items=items, next=next_cursor)
