"""REST resources `reservations`, `charging-profiles`, `local-lists`: what stations were asked for, granted and said."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from csms.domain.asked import reservation_state
from csms.domain.reports import REPORT, Report
from csms.storage.listings import LOCAL_LISTS, PROFILES, REPORTED, RESERVATIONS, STATION_LOG
from csms.storage.paging import Row
from csms.web.access import Reader
from csms.web.models import Name, Shape, Word
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of
from csms.web.stations import Operator, find_station

router = APIRouter()
ServicesOf = Annotated[Services, Depends(services_of)]
_Paging = paging_of(REPORTED, usual=1000)


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
    paging: paging_of(RESERVATIONS),
    operator: Name | None = None,
    station_id: Word | None = None,
    token: Word | None = None,
    status: Annotated[Word | None, Query(description="For example `accepted`: those that hold now.")] = None,
) -> Page[ReservationView]:
    """The latest first. `status`: accepted, or the station's refusal; cancelled, used, expired, removed; unknown."""
    now = services.clock()
    found = await services.queries.page(
        RESERVATIONS, paging, caller.within(operator), station=station_id, token=token,
        status=None if status is None else (status, now),
    )  # fmt: skip
    return paged(found, lambda row: _reservation(row, now))


@router.get("/reservations/{id}", tags=["reservations"], responses=described(404))
async def show_reservation(id: int, services: ServicesOf, caller: Reader) -> ReservationView:
    """One reservation."""
    row = await services.queries.reservation(id) if abs(id) < 1 << 63 else None
    if row is None or not caller.may_see(row["operator"]):
        raise Problem(404, f"There is no reservation {id}.")
    return _reservation(row, services.clock())


def _reservation(row: Row, now: datetime) -> ReservationView:
    return ReservationView(**{**row, "status": reservation_state(row["status"], row["expires_at"], now)})


@router.get("/charging-profiles", tags=["charging-profiles"])
async def list_profiles(
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(PROFILES),
    operator: Name | None = None,
    station_id: Word | None = None,
    purpose: Word | None = None,
) -> Page[ProfileView]:
    """What was installed over this system, by station."""
    found = await services.queries.page(PROFILES, paging, caller.within(operator), station=station_id, purpose=purpose)
    return paged(found, _profile)


@router.get("/stations/{id}/charging-profiles/{profile_id}", tags=["charging-profiles"], responses=described(404))
async def show_profile(
    id: str, profile_id: int, services: ServicesOf, caller: Reader, operator: Operator = None
) -> ProfileView:
    """One profile that was installed over this system."""
    station = await find_station(services, caller, operator, id)
    return _profile(await find_profile(services, station, profile_id))


async def find_profile(services: Services, station: Row, profile_id: int) -> Row:
    """Problem 404: none of this id was installed there over this system, or it is gone."""
    row = await services.queries.profile(station["number"], profile_id) if abs(profile_id) < 1 << 63 else None
    if row is None:
        raise Problem(404, f"Over this system no charging profile {profile_id} was installed at {station['id']}.")
    return row


def _profile(row: Row) -> ProfileView:
    return ProfileView(**row, confirmed=row["booted_at"] is None or row["confirmed_at"] >= row["booted_at"])


@router.get("/local-lists", tags=["local-lists"])
async def list_local_lists(
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(LOCAL_LISTS),
    operator: Name | None = None,
    station_id: Word | None = None,
) -> Page[LocalListView]:
    """The lists that stations have, as far as they accepted what was sent."""
    found = await services.queries.page(LOCAL_LISTS, paging, caller.within(operator), station=station_id)
    return paged(found, _local_list)


@router.get("/stations/{id}/local-list", tags=["local-lists"], responses=described(404))
async def show_local_list(id: str, services: ServicesOf, caller: Reader, operator: Operator = None) -> LocalListView:
    """The list that the station has, as far as it accepted what was sent."""
    station = await find_station(services, caller, operator, id)
    row = await services.queries.local_list(station["number"])
    if row is None:
        raise Problem(404, f"{station['id']} has accepted no local list of this system.")
    return _local_list(row)


def _local_list(row: Row) -> LocalListView:
    return LocalListView(**{**row, "entries": list(row["entries"].values())})


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
        paging: _Paging,
        operator: Operator = None,
    ) -> Page[SaidView]:
        """The latest that the station said, by key."""
        station = await find_station(services, caller, operator, id)
        booted = station["booted_at"]
        found = await services.queries.page(REPORTED, paging, station=station["number"], kinds=kinds)
        return paged(found, lambda row: SaidView(**row, confirmed=booted is None or row["reported_at"] >= booted))


for _name, _kinds in KINDS.items():
    _said(_name, _kinds)


@router.get("/stations/{id}/reports", tags=["stations"])
async def show_reports(
    id: str,
    services: ServicesOf,
    caller: Reader,
    paging: _Paging,
    operator: Operator = None,
) -> Page[ReportView]:
    """How far the reports are that come in parts; one whose parts stopped coming has timed out (T85)."""
    station = await find_station(services, caller, operator, id)
    found = await services.queries.page(REPORTED, paging, station=station["number"], kinds=(REPORT,))
    return paged(found, lambda row: _report_view(row, services.clock()))


def _report_view(row: Row, now: datetime) -> ReportView:
    report = msgspec.convert(row["data"], Report)
    name, _, number = row["key"].rpartition(":")
    parts = sum(high - low + 1 for low, high in report.seen)
    return ReportView(report=name, request_id=int(number), state=report.state(now), parts=parts, at=report.at)


@router.get("/stations/{id}/log", tags=["stations"])
async def show_log(
    id: str,
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(STATION_LOG),
    operator: Operator = None,
    kind: Word | None = None,
) -> Page[NoteView]:
    """What the station notified: monitored events and security events, the latest first."""
    station = await find_station(services, caller, operator, id)
    found = await services.queries.page(STATION_LOG, paging, station=station["number"], kind=kind)
    return paged(found, lambda row: NoteView(**row))
