"""REST resource `certificates`: what was issued to stations, and what holds no longer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from csms.storage import certificates as kept
from csms.storage.paging import number
from csms.web.access import Editor, Reader
from csms.web.models import Name, Shape
from csms.web.paging import Page
from csms.web.problems import Problem
from csms.web.services import Services, services_of

router = APIRouter()
ServicesOf = Annotated[Services, Depends(services_of)]


class CertificateView(Shape):
    id: int
    operator: str
    station_id: str
    kind: str = Field(description="station, or v2g (charging over ISO 15118).")
    serial: str = Field(description="Hexadecimal.")
    status: str = Field(description="issued, installed, refused by the station, revoked.")
    issued_at: datetime
    expires_at: datetime
    settled_at: datetime | None = Field(None, description="When the status last changed.")


@router.get("/certificates", tags=["certificates"])
async def list_certificates(
    services: ServicesOf,
    caller: Reader,
    operator: Name | None = None,
    station_id: str | None = None,
    status: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Page[CertificateView]:
    """The latest first."""
    query = kept.listing(
        operator=caller.within(operator) if operator or caller.operator is None else caller.operator,
        station=station_id, status=status, limit=limit + 1, before=number(cursor) if cursor else None,
    )  # fmt: skip
    async with services.database.reader.connect() as connection:
        rows = (await connection.execute(query)).mappings().all()
    items = [CertificateView(**row) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].id) if len(rows) > limit else None)


@router.post("/certificates/{serial}/revoke", status_code=204, tags=["certificates"])
async def revoke_certificate(serial: str, services: ServicesOf, caller: Editor) -> None:
    """From now on nobody gets in with it; the station that uses it is sent away."""
    operator_id = None if caller.operator is None else await services.operator_id(caller.operator)
    station = await services.write(kept.revoke(operator_id, serial, services.clock()), bool)
    if station is None:
        raise Problem(404, f"There is no certificate with the serial number {serial!r}.")
    await services.certificate_revoked(station, serial.lower())
