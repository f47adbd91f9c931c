"""REST: what people ask of a station in neutral words, each verb a route below the station."""

# No `annotations` from the future: FastAPI reads what each route takes from types that are made here.

import inspect
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from csms.blocks import charging_verbs, token_verbs
from csms.blocks.verbs import Unsayable, Verb
from csms.cluster.neutral import VERBS, Outcome
from csms.domain.commands import Command
from csms.storage.paging import Row
from csms.web.access import Steerer
from csms.web.asked import find_profile
from csms.web.models import CommandView, Shape
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of
from csms.web.sessions import answer, command_view, target_of
from csms.web.stations import Operator, find_station

router = APIRouter(tags=["verbs"])
ServicesOf = Annotated[Services, Depends(services_of)]
Wait = Annotated[float, Query(ge=0, le=300, description="Seconds to wait for the outcome; then it is told as pending.")]
Queue = Annotated[float, Query(ge=0, le=86_400, description="Seconds to wait for a station that is not connected.")]

# Not everything is a POST: what replaces or changes says so.
METHODS = {"configuration": "PATCH", "variables": "PATCH", "local-list": "PUT"}


class CommandsView(Shape):
    """What took several messages, since the station takes only so much in one."""

    status: str = Field(description="answered: all of them; else as the first that was not, or `pending`.")
    accepted: bool | None = Field(description="Whether the station agreed to all; null while it has not answered.")
    planned: int = Field(description="How many messages it takes; after one that fails the rest is not sent.")
    commands: list[CommandView]
    results: list[dict[str, Any]] = Field(description="What the station said of each item, in its own words.")


_SINGLE: dict[int | str, Any] = {
    202: {"model": CommandView, "description": "Not settled yet: `Location` is where to look."},
    409: {"model": CommandView, "description": "Nothing was sent: the station is not connected, or cannot do this."},
} | described(404)
_SEVERAL = _SINGLE | {
    202: {"model": CommandsView, "description": "Not settled yet: it goes on by itself."},
    409: {"model": CommandsView, "description": "Nothing was sent: the station is not connected, or cannot do this."},
}


def _route(verb: Verb[Any]) -> None:
    words = Annotated[verb.ask, Body()]
    method = METHODS.get(verb.name, "POST")

    @router.api_route(
        f"/stations/{{id}}/{verb.name}",
        methods=[method],
        name=verb.name.replace("/", "_").replace("-", "_"),
        description=inspect.getdoc(verb.ask) if verb.ask.__doc__ else "",
        response_model=CommandsView if verb.several else CommandView,
        responses=_SEVERAL if verb.several else _SINGLE,
    )
    async def ask(
        id: str, ask: words, services: ServicesOf, caller: Steerer, operator: Operator = None,
        wait: Wait = 30.0, queue: Queue = 0.0,
    ) -> JSONResponse:  # fmt: skip
        station = await find_station(services, caller, operator, id)
        return await perform(services, station, verb, ask, wait, queue)


@dataclass(frozen=True, kw_only=True)
class NewReservation(token_verbs.Reserve):
    station_id: str
    operator: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewProfile(charging_verbs.Profile):
    station_id: str
    operator: str | None = None


@router.post("/reservations", tags=["reservations"], response_model=CommandView, responses=_SINGLE)
async def create_reservation(
    ask: NewReservation, services: ServicesOf, caller: Steerer, wait: Wait = 30.0, queue: Queue = 0.0
) -> JSONResponse:
    """Reserve at a station: the same as `POST /stations/{id}/reservations`."""
    station = await find_station(services, caller, ask.operator, ask.station_id)
    return await perform(services, station, token_verbs.RESERVE, ask, wait, queue)


@router.post("/charging-profiles", tags=["charging-profiles"], response_model=CommandView, responses=_SINGLE)
async def create_profile(
    ask: NewProfile, services: ServicesOf, caller: Steerer, wait: Wait = 30.0, queue: Queue = 0.0
) -> JSONResponse:
    """Install a profile at a station: the same as `POST /stations/{id}/charging-profiles`."""
    station = await find_station(services, caller, ask.operator, ask.station_id)
    return await perform(services, station, charging_verbs.SET, ask, wait, queue)


@router.delete(
    "/stations/{id}/charging-profiles/{profile_id}",
    tags=["charging-profiles"],
    response_model=CommandView,
    responses=_SINGLE,
)
async def clear_profile(
    id: str, profile_id: int, services: ServicesOf, caller: Steerer, operator: Operator = None,
    wait: Wait = 30.0, queue: Queue = 0.0,
) -> JSONResponse:  # fmt: skip
    """Take a profile from the station; it is gone when the station says so."""
    station = await find_station(services, caller, operator, id)
    await find_profile(services, station, profile_id)
    ask = charging_verbs.Selected(profile_id=profile_id)
    return await perform(services, station, charging_verbs.CLEAR, ask, wait, queue)


@router.delete("/stations/{id}/local-list", tags=["local-lists"], response_model=CommandsView, responses=_SEVERAL)
async def empty_local_list(
    id: str, services: ServicesOf, caller: Steerer, operator: Operator = None, wait: Wait = 30.0, queue: Queue = 0.0
) -> JSONResponse:
    """Empty the station's list: the same as to put one without tokens."""
    station = await find_station(services, caller, operator, id)
    return await perform(services, station, token_verbs.REPLACE_LIST, token_verbs.ReplaceList([]), wait, queue)


@router.delete("/reservations/{id}", tags=["reservations"], response_model=CommandView, responses=_SINGLE)
async def cancel_reservation(
    id: int, services: ServicesOf, caller: Steerer, wait: Wait = 30.0, queue: Queue = 0.0
) -> JSONResponse:
    """Cancel a reservation by its id here; it is over when the station agrees."""
    row = await services.queries.reservation(id) if abs(id) < 1 << 63 else None
    if row is None or not caller.may_see(row["operator"]):
        raise Problem(404, f"There is no reservation {id}.")
    station = await find_station(services, caller, row["operator"], row["station_id"])
    ask = token_verbs.CancelReservation(row["reservation_id"])
    return await perform(services, station, token_verbs.CANCEL, ask, wait, queue)


async def perform(
    services: Services, station: Row, verb: Verb[Any], ask: Any, wait: float, queue: float
) -> JSONResponse:
    """Ask a station in these words; what cannot be said or must not be is told with what to do instead."""
    online = station["connected_at"] is not None
    try:
        outcome = await services.neutral.ask(target_of(station), verb, ask, online=online, wait=wait, queue=queue)
    except Unsayable as error:
        raise Problem(error.status, error.detail) from None
    return several(outcome) if verb.several else answer(outcome.commands[0])


def several(outcome: Outcome) -> JSONResponse:
    status = _status(outcome)
    view = CommandsView(
        status=status, accepted=_accepted(outcome, status), planned=outcome.planned,
        commands=[command_view(command) for command in outcome.commands],
        results=[result for command in outcome.commands for result in _results(command)],
    )  # fmt: skip
    return JSONResponse(view.model_dump(mode="json"), {"offline": 409, "pending": 202}.get(status, 200))


def _status(outcome: Outcome) -> str:
    failed = [command.status for command in outcome.commands if command.status != "answered"]
    if failed:
        return failed[0]
    return "answered" if outcome.whole else "pending"


def _accepted(outcome: Outcome, status: str) -> bool | None:
    """Whether everything was asked and agreed to; also in each item of an answer."""
    if status != "answered":
        return None
    said = [
        result.get("status") or result.get("attributeStatus")
        for command in outcome.commands
        for result in _results(command)
    ]
    taken = all(word in (None, "Accepted", "RebootRequired") for word in said)
    return taken and len(outcome.commands) == outcome.planned and all(command.accepted for command in outcome.commands)


def _results(command: Command) -> list[dict[str, Any]]:
    """The items of an answer, in the order they were asked for."""
    response = command.response or {}
    match command.action:
        case "GetVariables":
            return response.get("getVariableResult", [])
        case "SetVariables":
            return response.get("setVariableResult", [])
        case "GetConfiguration":
            unknown = [{"key": key, "status": "Unknown"} for key in response.get("unknownKey") or ()]
            return [*(response.get("configurationKey") or ()), *unknown]
        case "ChangeConfiguration" if response:
            return [{"key": command.request.get("key"), **response}]
    return [{"version": _version(command.request), **response}] if command.action == "SendLocalList" else []


def _version(request: Any) -> int | None:
    plain = msgspec.to_builtins(request)
    return plain.get("listVersion") or plain.get("versionNumber")


for _verb in VERBS.values():
    _route(_verb)
