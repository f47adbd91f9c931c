"""REST resource `locations`: where stations stand."""

from __future__ import annotations

from datetime import datetime
from operator import not_
from typing import Annotated, Any, Literal, Self

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from fastapi import Request as HttpRequest
from pydantic import ConfigDict, Field, ValidationError, model_validator

from csms.storage import places
from csms.storage.listings import LOCATIONS
from csms.storage.paging import Row
from csms.web.access import Caller, Editor, Reader
from csms.web.models import UNREADABLE, Name, Request, Shape, Word
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of

router = APIRouter(tags=["locations"])
ServicesOf = Annotated[Services, Depends(services_of)]
Operator = Annotated[
    Name | None, Query(description="The operator the location belongs to: the key's own, or `default`, when left away.")
]
Kind = Literal[
    "highway", "city", "depot", "fuel_station", "parking", "residential", "retail", "workplace", "other",
]  # fmt: skip

MOST_IMPORTED = 5_000


class LocationChange(Request):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Brokenlande West", "address": "A 7, km 42", "city": "Großenaspe", "country": "DE",
                    "latitude": 53.9721, "longitude": 9.9316, "kind": "highway", "service_area": "A7-042-W",
                }
            ]
        }
    )  # fmt: skip

    name: str = Field(min_length=1, max_length=255)
    address: str | None = Field(None, max_length=255)
    city: str | None = Field(None, max_length=255)
    postal_code: str | None = Field(None, max_length=20)
    country: str | None = Field(None, pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2, for example DE.")
    latitude: float | None = Field(None, ge=-90, le=90, allow_inf_nan=False, description="Degrees, WGS-84.")
    longitude: float | None = Field(None, ge=-180, le=180, allow_inf_nan=False, description="Degrees, WGS-84.")
    kind: Kind = "other"
    service_area: str | None = Field(
        None, max_length=64, description="The code of the highway service area it is in; null: in none."
    )

    @model_validator(mode="after")
    def _a_place(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("give latitude and longitude, or neither")
        return self


class ImportedLocation(LocationChange):
    id: str


class LocationView(Shape):
    id: str
    operator: str
    name: str
    address: str | None = None
    city: str | None = None
    postal_code: str | None = None
    country: str | None = None
    latitude: float | None = Field(None, description="Degrees, WGS-84.")
    longitude: float | None = Field(None, description="Degrees, WGS-84.")
    kind: str
    service_area: str | None = None
    created_at: datetime
    changed_at: datetime


class LocationsReport(Shape):
    created: int
    updated: int


@router.get("/locations")
async def list_locations(
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(LOCATIONS),
    operator: Name | None = None,
    city: Word | None = None,
    kind: Kind | None = None,
    service_area: Word | None = None,
    text: Annotated[
        Word | None,
        Query(description="Stands in id, name, address or city (one or two characters: at the beginning), any case."),
    ] = None,
    box: Annotated[
        str | None, Query(description="`south,west,north,east` in degrees: those within. West may exceed east (180°).")
    ] = None,
) -> Page[LocationView]:
    """Where stations stand, by id."""
    found = await services.queries.page(
        LOCATIONS, paging, caller.within(operator), city=city, kind=kind, service_area=service_area, text=text,
        box=None if box is None else _box(box),
    )  # fmt: skip
    return paged(found, lambda row: LocationView(**row))


@router.get("/locations/{id}", responses=described(404))
async def show_location(id: str, services: ServicesOf, caller: Reader, operator: Operator = None) -> LocationView:
    """One location. `GET /stations?location=` tells what stands there."""
    return LocationView(**await _find(services, caller, operator, id))


@router.put("/locations/{id}", responses={201: {"model": LocationView}} | described(404))
async def put_location(
    id: str, change: LocationChange, services: ServicesOf, caller: Editor, response: Response, operator: Operator = None
) -> LocationView:
    """Create a location under an id of your own, or replace its fields."""
    operator = caller.chosen(operator)
    operator_id = await services.operator_id(operator)
    job = places.put_location(operator_id, _code(id), change.model_dump(), services.clock())
    response.status_code = 201 if await services.write(job) else 200
    return LocationView(**await _find(services, caller, operator, id))


@router.delete("/locations/{id}", status_code=204, responses=described(404, 409))
async def delete_location(id: str, services: ServicesOf, caller: Editor, operator: Operator = None) -> None:
    """Forget a location where no station stands."""
    row = await _find(services, caller, operator, id)
    there = await services.write(places.delete_location(row["number"]), not_)
    if there:
        raise Problem(409, f"{there} stations stand at location {id!r}: give them another one first.")


@router.post("/locations/import", openapi_extra={"requestBody": {"content": {"application/x-ndjson": {"schema": {}}}}})
async def import_locations(
    request: HttpRequest, services: ServicesOf, caller: Editor, operator: Operator = None
) -> LocationsReport:
    """Create or replace many locations: one JSON object a line, as `PUT` takes it and `id` besides; all or none."""
    operator = caller.chosen(operator)
    lines = (await request.body()).splitlines()
    if len(lines) > MOST_IMPORTED:
        raise Problem(413, f"Send at most {MOST_IMPORTED} lines in one request.")
    rows = [_imported(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    operator_id = await services.operator_id(operator)
    created = await services.write(places.put_locations(operator_id, rows, services.clock()))
    return LocationsReport(created=created, updated=len(rows) - created)


async def _find(services: Services, caller: Caller, operator: str | None, code: str) -> Row:
    operator = caller.chosen(operator)
    row = await services.queries.location(operator, code)
    if row is None:
        raise Problem(404, f"Operator {operator!r} has no location {code!r}. Add it with PUT.")
    return row


def _code(code: str) -> str:
    if not code.strip() or len(code) > 64 or not code.isprintable() or UNREADABLE in code:
        raise Problem(422, "The id of a location has 1 to 64 printable characters.")
    return code


def _imported(number: int, line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        sent = ImportedLocation.model_validate(msgspec.json.decode(line))
        return _code(sent.id), sent.model_dump(exclude={"id"})
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        raise Problem(422, f"Line {number}: {where}: {found['msg']}. Nothing was imported.") from None
    except Problem as error:
        raise Problem(422, f"Line {number}: {error.detail} Nothing was imported.") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem(422, f"Line {number}: {str(error).rstrip('.')}. Nothing was imported.") from None


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        south, west, north, east = (float(part) for part in text.split(","))
    except ValueError:
        south = west = north = east = float("nan")
    if not (-90 <= south <= north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
        raise Problem(422, "query.box: write south,west,north,east in degrees, for example 47.2,5.8,55.1,15.1.")
    return south, west, north, east
