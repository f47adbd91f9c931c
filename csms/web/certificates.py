"""REST resource `certificates`: what was issued to stations, and what holds no longer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from csms.storage import certificates as kept
from csms.storage.listings import CERTIFICATES
from csms.web.access import Editor, Reader
from csms.web.models import Name, Shape, Word
from csms.web.paging import Page, paged, paging_of
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
    paging: paging_of(CERTIFICATES),
    operator: Name | None = None,
    station_id: Word | None = None,
    status: Word | None = None,
    kind: Word | None = None,
) -> Page[CertificateView]:
    """The latest first; `sort=expires_at` shows which end next."""
    found = await services.queries.page(
        CERTIFICATES, paging, caller.within(operator), station=station_id, status=status, kind=kind
    )
    return paged(found, lambda row: CertificateView(**row))


@router.post("/certificates/{serial}/revoke", status_code=204, tags=["certificates"])
async def revoke_certificate(serial: str, services: ServicesOf, caller: Editor) -> None:
    """From now on nobody gets in with it; the station that uses it is sent away."""
    operator_id = None if caller.operator is None else await services.operator_id(caller.operator)
    station = await services.write(kept.revoke(operator_id, serial, services.clock()), bool)
    if station is None:
        raise Problem(404, f"There is no certificate with the serial number {serial!r}.")
    await services.certificate_revoked(station, serial.lower())
