"""REST resource `network`: a whole network's file taken in, and what the network adds up to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import Field

from csms.storage import network
from csms.web.access import Caller, Editor, Reader
from csms.web.models import Name, Shape, usable_identity, usable_name
from csms.web.problems import Problem
from csms.web.services import Services, services_of

router = APIRouter(tags=["network"])
ServicesOf = Annotated[Services, Depends(services_of)]

MOST_LINES = 5_000
_FRESH = 5.0  # s that a summary is told again; then the next one is made while the last is told.

_Degrees = Annotated[float, msgspec.Meta(ge=-180, le=180)]
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class CityLine(msgspec.Struct, tag_field="kind", tag="city", forbid_unknown_fields=True):
    code: _Code
    name: str
    latitude: _Degrees
    longitude: _Degrees


class ServiceAreaLine(CityLine, tag_field="kind", tag="service_area", forbid_unknown_fields=True):
    """A highway service area that exists, with chargers or without."""


class LocationLine(msgspec.Struct, tag_field="kind", tag="location", forbid_unknown_fields=True):
    operator: _Code
    code: _Code
    name: str
    latitude: _Degrees
    longitude: _Degrees
    city: str | None = None
    service_area: str | None = None


class TokenLine(msgspec.Struct, tag_field="kind", tag="token", forbid_unknown_fields=True):
    operator: _Code
    value: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class StationLine(msgspec.Struct, tag_field="kind", tag="station", forbid_unknown_fields=True):
    """A station with `connectors` outlets; `max_power_w` is what it gives in all."""

    operator: _Code
    id: str
    password: Annotated[str, msgspec.Meta(min_length=8, max_length=64)] | None  # Null: it needs no credentials.
    location: str | None = None
    version: str | None = None  # Informative: the version is agreed on at each connection.
    current: Literal["AC", "DC"] | None = None
    max_power_w: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] | None = None
    connectors: Annotated[int, msgspec.Meta(ge=0, le=1_000)] | None = None


_line = msgspec.json.Decoder(CityLine | ServiceAreaLine | LocationLine | TokenLine | StationLine)


class NetworkReport(Shape):
    created: int = Field(description="Stations that are new.")
    updated: int


class Counts(Shape):
    stations: int
    dc_stations: int
    connectors: int
    online: int
    charging: int = Field(description="Sessions that are open.")


class Summary(Counts):
    operators: int
    locations: int = Field(description="Where stations stand.")
    cities: int = Field(description="That are known.")
    cities_covered: int
    service_areas: int = Field(description="Of highways, that are known: with chargers or without.")
    service_areas_covered: int
    service_area_share: float = Field(description="Of the known ones, how many have chargers: 0 to 1.")
    by_operator: dict[str, Counts]
    counted_at: datetime


@dataclass
class Summaries:
    """The latest summary by scope: counting a million stations takes a second, and many ask."""

    found: dict[str | None, tuple[float, Summary]] = field(default_factory=dict)
    counting: dict[str | None, asyncio.Task[Summary]] = field(default_factory=dict)

    async def of(self, services: Services, operator: str | None) -> Summary:
        known = self.found.get(operator)
        if known is not None and monotonic() - known[0] < _FRESH:
            return known[1]
        task = self.counting.get(operator)
        if task is None:
            task = self.counting[operator] = asyncio.create_task(self._count(services, operator), name="summary")
        return known[1] if known is not None and monotonic() - known[0] < 10 * _FRESH else await asyncio.shield(task)

    async def _count(self, services: Services, operator: str | None) -> Summary:
        try:
            counted = await network.summary(services.database.reader, operator)
            made = Summary(**counted, counted_at=services.clock())
            self.found[operator] = (monotonic(), made)
            return made
        finally:
            self.counting.pop(operator, None)


@router.get("/network/summary")
async def show_summary(request: Request, services: ServicesOf, caller: Reader, operator: Name | None = None) -> Summary:
    """What the network adds up to, seconds old at most (`counted_at`): counted from the data, and live."""
    state = request.app.state
    if not hasattr(state, "summaries"):
        state.summaries = Summaries()
    return await state.summaries.of(services, caller.within(operator))


@router.post("/network/import", openapi_extra={"requestBody": {"content": {"application/x-ndjson": {"schema": {}}}}})
async def import_network(request: Request, services: ServicesOf, caller: Editor) -> NetworkReport:
    """Take in lines of a network's file (`csms-sim network` writes one): all of them or none.

    Each line is one JSON object of a `kind`: `city`, `service_area`, `token`, `location` or `station`. A location has to
    be there, or come before its stations. What is there already is changed.
    """
    lines = (await request.body()).splitlines()
    if len(lines) > MOST_LINES:
        raise Problem(413, f"Send at most {MOST_LINES} lines in one request.")
    part = network.Part()
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                _take(services, caller, part, _line.decode(line))
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                raise Problem(422, f"Line {number}: {str(error).rstrip('.')}. Nothing was imported.") from None
    try:
        created = await services.write(network.put_network(part, services.clock()))
    except network.UnknownLocation as error:
        raise Problem(422, f"Nothing was imported: {error}.") from None
    return NetworkReport(created=created, updated=len(part.stations) - created)


def _take(services: Services, caller: Caller, part: network.Part, line: Any) -> None:
    match line:
        case ServiceAreaLine() | CityLine():
            if caller.operator is not None:
                raise Problem(403, "Cities and service areas belong to all operators: ask an admin of all to add them.")
            kind = "service_area" if isinstance(line, ServiceAreaLine) else "city"
            part.places.append({"kind": kind, **msgspec.structs.asdict(line)})
        case LocationLine():
            fields = msgspec.structs.asdict(line)
            operator, place = caller.chosen(usable_name(fields.pop("operator"))), fields.pop("city")
            part.locations.append({**fields, "operator": operator, "place": place})
        case TokenLine():
            part.tokens.append({"operator": caller.chosen(usable_name(line.operator)), "value": line.value})
        case StationLine():
            part.stations.append(_station(services, caller.chosen(usable_name(line.operator)), line))


def _station(services: Services, operator: str, line: StationLine) -> dict[str, Any]:
    usable_identity(line.id)
    password = line.password
    hashed = None if password is None else services.vault.station_hash(operator, line.id, password.encode())
    return {
        "operator": operator, "identity": line.id, "location": line.location, "current": line.current,
        "max_power_w": line.max_power_w, "outlets": line.connectors, "password_hash": hashed, "password_next": None,
    }  # fmt: skip
