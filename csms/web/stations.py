"""REST resource `stations`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from csms.domain.credentials import new_password
from csms.domain.stations import Status
from csms.storage import admin
from csms.storage.listings import STATIONS, STATUS_HISTORY
from csms.storage.paging import Row
from csms.web.access import Caller, Editor, Reader
from csms.web.models import (
    MAX_INT31,
    Admission,
    ConnectorView,
    ImportReport,
    Moment,
    Name,
    StationChange,
    StationDetail,
    StationView,
    StatusChangeView,
    Word,
    usable_identity,
)
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of

router = APIRouter(tags=["stations"])
Operator = Annotated[
    Name | None, Query(description="The operator the station belongs to: the key's own, or `default`, when left away.")
]
ServicesOf = Annotated[Services, Depends(services_of)]

MOST_IMPORTED = 5_000


_Password = Annotated[str, msgspec.Meta(min_length=8, max_length=64)]


class Imported(msgspec.Struct, forbid_unknown_fields=True):
    """One line of an import: a station, and how it identifies itself."""

    id: str
    version: str | None = None  # Informative: the version is agreed on at each connection.
    password: _Password | msgspec.UnsetType | None = msgspec.UNSET
    admission: Admission | msgspec.UnsetType = msgspec.UNSET
    strict: bool | msgspec.UnsetType = msgspec.UNSET


_line = msgspec.json.Decoder(Imported)


@router.get("/stations")
async def list_stations(
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(STATIONS),
    operator: Name | None = None,
    online: bool | None = None,
    location: Annotated[Word | None, Query(description="The id of a location.")] = None,
    status: Annotated[Status | None, Query(description="Of one of its connectors, at least.")] = None,
    version: Annotated[Word | None, Query(description="The OCPP version of its latest connection.")] = None,
    vendor: Word | None = None,
    model: Word | None = None,
    firmware: Word | None = None,
    admission: Admission | None = None,
    text: Annotated[
        Word | None,
        Query(
            description="Stands in id, vendor, model, serial or firmware (one or two characters: at the beginning), any case."
        ),
    ] = None,
) -> Page[StationView]:
    """Chargers, in the order in which they were added."""
    found = await services.queries.page(
        STATIONS, paging, caller.within(operator), online=online, location=location, status=status, version=version,
        vendor=vendor, model=model, firmware=firmware, admission=admission, text=text,
    )  # fmt: skip
    return paged(found, lambda row: StationView(**_view(row)))


@router.get("/stations/{id}")
async def show_station(id: str, services: ServicesOf, caller: Reader, operator: Operator = None) -> StationDetail:
    """One station and its connectors."""
    return await _detail(services, await find_station(services, caller, operator, id))


@router.get("/stations/{id}/status-history")
async def show_status_history(
    id: str,
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(STATUS_HISTORY),
    operator: Operator = None,
    evse_id: Annotated[int | None, Query(ge=0, le=MAX_INT31)] = None,
    connector_id: Annotated[int | None, Query(ge=0, le=MAX_INT31)] = None,
    status: Literal[Status, "online", "offline"] | None = None,
    since: Annotated[Moment | None, Query(description="When we heard of it.")] = None,
    until: Annotated[Moment | None, Query(description="Before this moment.")] = None,
) -> Page[StatusChangeView]:
    """When its connectors changed their status, when it came and went, the latest first.

    What held when a period began is the first that is listed `until` then. Kept for `status_retention_days`.
    """
    station = await find_station(services, caller, operator, id)
    since = max(since or station["created_at"], station["created_at"])  # Numbers are used again.
    found = await services.queries.page(
        STATUS_HISTORY, paging, station=station["number"], evse=evse_id, connector=connector_id, status=status,
        since=since, until=until,
    )  # fmt: skip
    return paged(found, lambda row: StatusChangeView(**row))


@router.put("/stations/{id}", responses={201: {"model": StationDetail}})
async def put_station(
    id: str,
    change: StationChange,
    services: ServicesOf,
    caller: Editor,
    response: Response,
    operator: Operator = None,
) -> StationDetail:
    """Create a station or change it. A new one gets a generated password unless one is given (or null: none)."""
    operator = caller.chosen(operator)
    try:
        usable_identity(id)
    except ValueError as error:
        raise Problem(422, str(error)) from None
    existing = await services.queries.station(operator, id)
    columns = change.model_dump(exclude_unset=True, exclude={"password", "location"})
    if "location" in change.model_fields_set:
        columns["location_id"] = await _location(services, operator, change.location)
    password = change.password
    if password is None and existing is None and "password" not in change.model_fields_set:
        password = shown = new_password()
    else:
        shown = None
    if password is not None:
        columns |= {
            "password_hash": services.vault.station_hash(operator, id, password.encode()), "password_next": None
        }  # fmt: skip
    elif "password" in change.model_fields_set:
        columns |= {"password_hash": None, "password_next": None}
    operator_id = await services.operator_id(operator)
    created = await services.write(admin.put_station(operator_id, id, columns, services.clock()))
    row = await find_station(services, caller, operator, id)
    services.station_changed(row["number"], columns)
    response.status_code = 201 if created else 200
    return await _detail(services, row, password=shown)


@router.post("/stations/import")
async def import_stations(
    request: Request, services: ServicesOf, caller: Editor, operator: Operator = None
) -> ImportReport:
    """Create or change many stations: one JSON object a line, all of them or none.

    A new `{"id": "CP-1"}` gets a generated password, `{"id": "CP-2", "password": null}` none. What a line leaves out
    stays as it is at a station that is there.
    """
    operator = caller.chosen(operator)
    lines = (await request.body()).splitlines()
    if len(lines) > MOST_IMPORTED:
        raise Problem(413, f"Send at most {MOST_IMPORTED} lines in one request.")
    sent = [_imported(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    known = await services.queries.station_numbers(operator, [station.id for station in sent])
    generated = {station.id: new_password() for station in sent if _needs_password(station, known)}
    rows = [(station.id, _columns(services, operator, station, generated)) for station in sent]
    operator_id = await services.operator_id(operator)
    created = await services.write(admin.put_stations(operator_id, rows, services.clock()))
    numbers = await services.queries.station_numbers(operator, [identity for identity, _ in rows])
    for identity, columns in rows:
        services.station_changed(numbers[identity], columns)
    return ImportReport(created=created, updated=len(rows) - created, passwords=generated)


@router.delete("/stations/{id}", status_code=204, responses=described(404, 409))
async def delete_station(id: str, services: ServicesOf, caller: Editor, operator: Operator = None) -> None:
    """Forget a station that was never used. One that has charged stays, for its sessions: reject it (`admission`)."""
    station = await find_station(services, caller, operator, id)
    if station["connected_at"] is not None:
        raise Problem(409, f"Station {id!r} is connected: set admission to rejected, and take it off first.")
    if not await services.write(admin.delete_station(station["number"]), bool):
        raise Problem(409, f"Station {id!r} has sessions or commands on record: reject it (admission) instead.")


async def find_station(services: Services, caller: Caller, operator: str | None, identity: str) -> Row:
    """The station with this identity within what the caller may see; 404 otherwise."""
    operator = caller.chosen(operator)
    row = await services.queries.station(operator, identity)
    if row is None:
        raise Problem(
            404, f"There is no station {identity!r} of operator {operator!r}. Add it: csms station add, or PUT."
        )
    return row


async def _location(services: Services, operator: str, code: str | None) -> int | None:
    if code is None:
        return None
    found = await services.queries.location(operator, code)
    if found is None:
        raise Problem(422, f"Operator {operator!r} has no location {code!r}. Add it: PUT /locations/{{id}}.")
    return found["number"]


def _imported(number: int, line: bytes) -> Imported:
    try:
        sent = _line.decode(line)
        usable_identity(sent.id)
    except (msgspec.DecodeError, ValueError) as error:
        raise Problem(422, f"Line {number}: {str(error).rstrip('.')}. Nothing was imported.") from None
    return sent


def _needs_password(sent: Imported, known: Collection[str]) -> bool:
    return sent.password is msgspec.UNSET and sent.id not in known


def _columns(services: Services, operator: str, sent: Imported, generated: dict[str, str]) -> dict[str, Any]:
    """What a line changes of its station."""
    given = {"admission": sent.admission, "strict": sent.strict}
    columns = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    password = generated.get(sent.id, sent.password)
    if password is None:
        columns |= {"password_hash": None, "password_next": None}
    elif password is not msgspec.UNSET:
        hashed = services.vault.station_hash(operator, sent.id, password.encode())
        columns |= {"password_hash": hashed, "password_next": None}
    return columns


def _view(row: Row) -> dict[str, Any]:
    return {**row, "online": row["connected_at"] is not None}


async def _detail(services: Services, row: Row, password: str | None = None) -> StationDetail:
    found = await services.queries.connectors(row["number"])
    return StationDetail(**_view(row), connectors=[ConnectorView(**each) for each in found], password=password)
