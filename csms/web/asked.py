"""REST resources `reservations`, `charging-profiles`, `local-lists`: what stations were asked for, granted and said."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from csms.domain.asked import reservation_state
from csms.domain.reports import REPORT, Report
from csms.storage.queries import Row
from csms.web.access import Reader
from csms.web.models import Name, Page, Shape
from csms.web.services import Services, services_of
from csms.web.stations import Operator, find_station

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
    confirmed: bool = Field(description="Whether it is certain since the station's last boot, which may undo it.")


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
    items = [
        ProfileView(
            **{**row, "profile": msgspec.json.decode(row["profile"])},
            confirmed=row["booted_at"] is None or row["confirmed_at"] >= row["booted_at"],
        )
        for row in rows
    ]
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


class SaidView(Shape):
    kind: str
    key: str
    data: Any = Field(description="As the station said it, in the specification's spelling.")
    reported_at: datetime
    confirmed: bool = Field(description="Whether it was said since the station's last boot: reboots may undo it.")


class ReportView(Shape):
    report: str
    request_id: int
    state: Literal["complete", "partial", "timed_out"]
    parts: int = Field(description="How many are here.")
    at: datetime = Field(description="When its latest part came, or when it was promised.")


class NoteView(Shape):
    id: int
    at: datetime
    received_at: datetime
    kind: str
    severity: int = Field(description="0 danger … 9 debug, as in OCPP 2.x.")
    code: str
    text: str | None = None
    data: Any


# What may be read of what a station says of itself, under the names of the API.
KINDS = {
    "device-model": ("variable", "value"),
    "configuration": ("configuration",),
    "monitors": ("monitor",),
    "limits": ("charging_limit",),
    "reported-profiles": ("charging_profile",),
    "charging-needs": ("charging_needs", "charging_schedule"),
    "display-messages": ("display_message",),
    "customer-information": ("customer_information",),
    "monitoring": ("monitoring_base", "monitoring_level"),
    "availability": ("availability",),
    "network-profiles": ("network_profile",),
    "certificates": ("certificate",),
    "unsupported": ("unsupported",),
    "jobs": ("job", "firmware", "published_firmware", "log", "diagnostics"),
}


def _said(name: str, kinds: tuple[str, ...]) -> None:
    @router.get(f"/stations/{{id}}/{name}", tags=["stations"], name=f"show_{name.replace('-', '_')}")
    async def show(
        id: str,
        services: ServicesOf,
        caller: Reader,
        operator: Operator = None,
        limit: Limit = 1000,
        cursor: str | None = None,
    ) -> Page[SaidView]:
        """The latest that the station said, by key."""
        station = await find_station(services, caller, operator, id)
        rows, next_cursor = await services.asked.said(station["number"], kinds, limit=limit, cursor=cursor)
        booted = station["booted_at"]
        items = [
            SaidView(
                **{**row, "data": msgspec.json.decode(row["data"])},
                confirmed=booted is None or row["reported_at"] >= booted,
            )
            for row in rows
        ]
        return Page(items=items, next=next_cursor)


for _name, _kinds in KINDS.items():
    _said(_name, _kinds)


@router.get("/stations/{id}/reports", tags=["stations"])
async def show_reports(
    id: str,
    services: ServicesOf,
    caller: Reader,
    operator: Operator = None,
    limit: Limit = 1000,
    cursor: str | None = None,
) -> Page[ReportView]:
    """How far the reports are that come in parts; one whose parts stopped coming has timed out (T85)."""
    station = await find_station(services, caller, operator, id)
    rows, next_cursor = await services.asked.said(station["number"], (REPORT,), limit=limit, cursor=cursor)
    return Page(items=[_report_view(row, services.clock()) for row in rows], next=next_cursor)


def _report_view(row: Row, now: datetime) -> ReportView:
    report = msgspec.json.decode(row["data"], type=Report)
    name, _, number = row["key"].rpartition(":")
    parts = sum(high - low + 1 for low, high in report.seen)
    return ReportView(report=name, request_id=int(number), state=report.state(now), parts=parts, at=report.at)


@router.get("/stations/{id}/log", tags=["stations"])
async def show_log(
    id: str,
    services: ServicesOf,
    caller: Reader,
    operator: Operator = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Page[NoteView]:
    """What the station notified: monitored events and security events, the latest first."""
    station = await find_station(services, caller, operator, id)
    rows, next_cursor = await services.asked.log(station["number"], limit=limit, cursor=cursor)
    items = [NoteView(**{**row, "data": msgspec.json.decode(row["data"])}) for row in rows]
    return Page(items=items, next=next_cursor)
