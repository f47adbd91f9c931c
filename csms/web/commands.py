"""REST resource `commands`: anything that may be asked of a station, in the specification's own words."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from csms.blocks.asking import wrong_with
from csms.domain.commands import CommandStatus
from csms.ocpp.catalogue import Version
from csms.storage.commands import command_from
from csms.storage.listings import COMMANDS
from csms.web.access import Reader, Steerer
from csms.web.models import CommandView, Name, Word
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of
from csms.web.sessions import answer, command_view, target_of
from csms.web.stations import Operator, find_station

router = APIRouter(tags=["commands"])
ServicesOf = Annotated[Services, Depends(services_of)]
Wait = Annotated[
    float, Query(ge=0, le=300, description="Seconds to wait for the outcome; then the command is told as pending.")
]
Queue = Annotated[float, Query(ge=0, le=86_400, description="Seconds to wait for a station that is not connected.")]

_OUTCOMES: dict[int | str, Any] = {
    202: {"model": CommandView, "description": "Not settled yet: `Location` is where to look."},
    409: {"model": CommandView, "description": "Nothing was sent: the station is not connected or not accepted."},
} | described(404)
_BODY = {"content": {"application/json": {"schema": {"type": "object"}, "example": {"type": "Soft"}}}}


@router.post(
    "/stations/{id}/commands/{action}", response_model=CommandView, responses=_OUTCOMES,
    openapi_extra={"requestBody": _BODY},
)  # fmt: skip
async def send_command(
    id: str, action: str, request: Request, services: ServicesOf, caller: Steerer, operator: Operator = None,
    wait: Wait = 30.0, queue: Queue = 0.0,
    validate: Annotated[bool, Query(description="false: send whatever is given.")] = True,
) -> JSONResponse:  # fmt: skip
    """Ask a station anything: the body is the OCPP payload of `action` in the version that the station speaks.

    It is sent as given. An id that the system owns and that is left out is given by the system. A refusal by the station
    is an outcome, not an HTTP error.
    """
    station = await find_station(services, caller, operator, id)
    target = target_of(station)
    body = await request.body() or b"{}"
    payload = _payload(body)
    if len(action) > 50:
        raise Problem(422, "The name of an action has at most 50 characters.")
    if validate:
        spoken = services.desk.version_of(target)
        unknown = station["version"] is None and services.desk.is_away(target)
        target = replace(target, version=_judged(tuple(Version) if unknown else (spoken,), action, payload))
    outcome = await services.desk.ask_raw(target, action, body.strip(), wait=wait, queue=queue, validate=validate)
    return answer(outcome)


@router.get("/commands")
async def list_commands(
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(COMMANDS),
    operator: Name | None = None,
    station_id: Word | None = None,
    action: Word | None = None,
    status: CommandStatus | None = None,
) -> Page[CommandView]:
    """What was asked of stations, the latest first."""
    found = await services.queries.page(
        COMMANDS, paging, caller.within(operator), station=station_id, action=action, status=status
    )
    return paged(found, lambda row: command_view(command_from(row)))


@router.get("/commands/{id}", responses=described(404))
async def show_command(id: int, services: ServicesOf, caller: Reader) -> CommandView:
    """What was asked of a station, and how that ended."""
    command = await services.commands.find(id) if abs(id) < 1 << 63 else None
    if command is None or caller.operator not in (None, command.operator):
        raise Problem(404, f"There is no command {id}.")
    return command_view(command)


def _payload(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem(422, f"The body is no JSON: {error}.", path="payload") from None


def _judged(versions: tuple[Version, ...], action: str, payload: Any) -> Version:
    """The first version whose official schema lets this be sent; 422 with the place that breaks it where none does."""
    wrong = {version: wrong_with(version, action, payload) for version in versions}
    for version, why in wrong.items():
        if why is None:
            return version
    place, why = next((each for each in wrong.values() if each[0] != "action"), next(iter(wrong.values())))
    raise Problem(422, why, path=place)
