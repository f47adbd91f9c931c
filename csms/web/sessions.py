"""REST resource `sessions`: what is charged, and an operator's start and stop."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from csms.blocks import remote_control
from csms.blocks.charging_verbs import Profile, limits_of, start_profile
from csms.blocks.verbs import Unsayable, judged
from csms.cluster.desk import Target
from csms.domain.commands import Command
from csms.domain.stations import Station
from csms.domain.tokens import Token, decide
from csms.ocpp.catalogue import Version
from csms.storage.listings import SAMPLES, SESSIONS
from csms.storage.paging import Row
from csms.web.access import Caller, Editor, Reader, Steerer
from csms.web.models import CommandView, Moment, Name, ReadingView, SessionStart, SessionView, Word
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of
from csms.web.stations import find_station

router = APIRouter(tags=["sessions"])
ServicesOf = Annotated[Services, Depends(services_of)]
Wait = Annotated[float, Query(gt=0, le=300, description="Seconds to wait for the station's answer.")]

_OFFLINE: dict[int | str, Any] = {409: {"model": CommandView, "description": "The station is not connected."}}


@router.get("/sessions")
async def list_sessions(
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(SESSIONS),
    operator: Name | None = None,
    station_id: Word | None = None,
    token: Word | None = None,
    status: Literal["active", "closed"] | None = None,
    flag: Annotated[
        Word | None, Query(description="Only those a person should look at, for example `no_start`.")
    ] = None,
    started_from: Moment | None = None,
    started_until: Annotated[Moment | None, Query(description="Before this moment.")] = None,
) -> Page[SessionView]:
    """What is and was charged, the newest first. Tokens are compared without case."""
    found = await services.queries.page(
        SESSIONS, paging, caller.within(operator), station=station_id, token=token, flag=flag,
        active=None if status is None else status == "active", started_from=started_from, started_until=started_until,
    )  # fmt: skip
    return paged(found, _view)


@router.get("/sessions/{id}")
async def show_session(id: int, services: ServicesOf, caller: Reader) -> SessionView:
    """One session."""
    return _view(await find_session(services, caller, id))


@router.get("/sessions/{id}/samples")
async def show_samples(
    id: int, services: ServicesOf, caller: Reader, paging: paging_of(SAMPLES, most=10_000, usual=1000)
) -> Page[ReadingView]:
    """Its meter readings in the order of their time: registers in Wh, power in W, charge in percent."""
    await find_session(services, caller, id)
    return paged(await services.queries.page(SAMPLES, paging, session=id), lambda row: ReadingView(**row))


@router.post("/sessions", response_model=CommandView, responses=_OFFLINE)
async def start_session(start: SessionStart, services: ServicesOf, caller: Steerer, wait: Wait = 30.0) -> JSONResponse:
    """Ask a station to start a session. Its refusal is an outcome (`accepted: false`), not an HTTP error."""
    station = await find_station(services, caller, start.operator, start.station_id)
    token = await _usable_token(services, station["operator"], start.token)
    _check_registration(station)

    target = target_of(station)
    version = services.desk.version_of(target)
    try:
        profile = await _profile(services, station, target, start.profile)
        request = remote_control.start_request(
            version, token=token.value, token_type=token.type, evse_id=start.evse_id, profile=profile
        )
        question = judged(version, request)
    except Unsayable as error:
        raise Problem(error.status, error.detail) from None
    return answer(
        await services.desk.ask_raw(target, question.action, msgspec.json.encode(question.payload), wait=wait)
    )


@router.post("/sessions/{id}/stop", response_model=CommandView, responses=_OFFLINE)
async def stop_session(id: int, services: ServicesOf, caller: Steerer, wait: Wait = 30.0) -> JSONResponse:
    """Ask the station to end this session; the session ends when the station says so."""
    session = await find_session(services, caller, id)
    if session["ended_at"] is not None:
        raise Problem(409, f"Session {id} has ended already.")
    station = await find_station(services, caller, session["operator"], session["station_id"])
    transaction = session["station_transaction_id"]

    def build(version: Version) -> msgspec.Struct:
        if version is Version.V16 and session["version"] != Version.V16:
            raise Problem(409, "The session was begun in another OCPP version than the station speaks now.")
        return remote_control.stop_request(version, transaction)

    return answer(await services.desk.ask(target_of(station), build, wait=wait))


@router.post("/sessions/{id}/close", responses=described(404, 409))
async def close_session(id: int, services: ServicesOf, caller: Editor) -> SessionView:
    """End a session by hand whose end the station does not report. Nothing is asked of the station.

    It is marked (`closed_by_hand`) and costs what was metered. Should the station's own end still come, that counts.
    """
    row, session = await find_session(services, caller, id), await services.queries.whole_session(id)
    if row["ended_at"] is not None or session is None:
        raise Problem(409, f"Session {id} has ended already.")
    station = Station(row["station_number"], row["operator_id"], row["operator"], row["station_id"])
    if not await services.close_session(station, session):
        raise Problem(409, f"The station of session {id} has something under way: try again in a moment.")
    return _view(await find_session(services, caller, id))


def target_of(station: Row) -> Target:
    version = Version(station["version"]) if station["version"] else Version.V16
    return Target(station["number"], station["operator_id"], station["operator"], station["id"], version)


def command_view(command: Command) -> CommandView:
    return CommandView(**msgspec.structs.asdict(command), accepted=command.accepted)


def answer(command: Command) -> JSONResponse:
    view = command_view(command)
    status = {"offline": 409, "pending": 202}.get(command.status, 200)
    headers = {"Location": f"/api/v1/commands/{command.id}"} if status == 202 else None
    return JSONResponse(view.model_dump(mode="json"), status, headers)


async def _usable_token(services: Services, operator: str, value: str) -> Token:
    """The token as it is known: a station may check it, so that one that would be refused is not sent (T32)."""
    row = await services.queries.token(operator, value)
    if row is None:
        raise Problem(422, f"Token {value!r} is unknown: the station would be told so. Add it: csms token add {value}")
    token = Token(row["value"], row["type"], row["status"], row["group"], row["expires_at"])
    verdict = decide(token, services.clock()).verdict
    if verdict != "accepted":
        raise Problem(422, f"Token {value!r} is {verdict}: no session can be started with it.")
    return token


def _check_registration(station: Row) -> None:
    if station["registration"] in ("pending", "rejected"):
        # 1.6 4.2, 2.x B02.FR.05: no remote start or stop before the boot is accepted.
        raise Problem(409, f"Station {station['id']!r} is {station['registration']}: its boot was not accepted yet.")


async def _profile(services: Services, station: Row, target: Target, wanted: Profile | None) -> Any:
    if wanted is None:
        return None
    online = station["connected_at"] is not None
    facts = await services.neutral.facts(target, wanted, limits_of(wanted), online=online)
    return start_profile(services.desk.version_of(target), wanted, facts)


async def find_session(services: Services, caller: Caller, session_id: int) -> Row:
    row = await services.queries.session(session_id) if abs(session_id) < 1 << 63 else None
    if row is None or caller.operator not in (None, row["operator"]):
        raise Problem(404, f"There is no session {session_id}.")
    return row


def _view(row: Row) -> SessionView:
    return SessionView(**row, status="active" if row["ended_at"] is None else "closed")
