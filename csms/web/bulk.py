"""REST resource `bulk-commands`: one question for many stations, its progress, and what became of each."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from csms.blocks.secrets import masked, sets_password
from csms.cluster.neutral import VERBS
from csms.domain.bulk import Asked
from csms.domain.commands import CommandStatus
from csms.ocpp.catalogue import Version, actions
from csms.storage.bulk import BULKS, ITEMS
from csms.storage.paging import Row
from csms.web import audit
from csms.web.access import Caller, Reader, Steerer
from csms.web.models import Name, Request, Shape, Word
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of

router = APIRouter(prefix="/bulk-commands", tags=["bulk-commands"])
ServicesOf = Annotated[Services, Depends(services_of)]

State = Literal["waiting", "refused", "cancelled"] | CommandStatus


class Filter(Request):
    """Stations that match all that is given."""

    station_ids: list[Word] | None = Field(None, max_length=10_000)
    online: bool | None = None
    location: Word | None = None
    version: Word | None = None
    vendor: Word | None = None
    model: Word | None = None
    firmware: Word | None = None


class BulkAsk(Request):
    """An OCPP `action` with its payload, for stations of its version, or a `verb` with its words, for any."""

    action: str | None = Field(None, max_length=50)
    verb: str | None = None
    payload: dict[str, Any] = Field({}, description="The action's payload, or the verb's words.")
    filter: Filter | None = Field(None, description="Left out, nobody is meant: say `all` for everybody.")
    all: bool = Field(False, description="Every station of the operator.")
    operator: Name | None = None
    concurrency: int = Field(50, ge=1, le=1000, description="Stations under way at once.")
    rate: float = Field(20, ge=0.1, le=1000, description="Stations begun with in a second.")
    queue: float = Field(0, ge=0, le=7 * 86_400, description="Seconds to wait for stations that are not connected.")

    @model_validator(mode="after")
    def _one_question(self) -> "BulkAsk":
        if (self.action is None) == (self.verb is None):
            raise ValueError("give either an action or a verb")
        if (self.filter is None or self.filter == Filter()) != self.all:
            raise ValueError("give a filter, or say `all` (and no filter) to mean every station")
        return self


class BulkView(Shape):
    id: int
    operator: str
    action: str | None
    verb: str | None
    payload: Any
    status: Literal["running", "done", "cancelled"]
    stations: int
    created_by: str
    created_at: datetime
    ended_at: datetime | None


class BulkDetail(BulkView):
    progress: dict[str, int] = Field(description="How many stations are in which state.")


class ItemView(Shape):
    """`waiting`: not asked yet; `refused`: nothing could be asked, see `problem`; `cancelled`; else as its command."""

    station_id: str
    state: State
    command_id: int | None
    problem: str | None
    response: dict[str, Any] | None


@router.post("", status_code=201)
async def create_bulk_command(ask: BulkAsk, services: ServicesOf, caller: Steerer, response: Response) -> BulkDetail:
    """Begin to ask the stations that match now. Each ends in one recorded state, also over a restart of the server."""
    operator, now = caller.chosen(ask.operator), services.clock()
    _check(ask)
    asked = Asked(
        action=ask.action, verb=ask.verb, payload=ask.payload, concurrency=ask.concurrency, rate=ask.rate,
        until=now + timedelta(seconds=ask.queue),
    )  # fmt: skip
    filters = (ask.filter or Filter()).model_dump()
    id = services.next_id()
    await services.bulk_log.create(id, operator, asked, caller.name, now, filters.pop("station_ids"), **filters)
    services.bulk.begin(id, asked)
    response.headers["Location"] = f"/api/v1/bulk-commands/{id}"
    return await _detail(services, await _find(services, caller, id))


@router.get("")
async def list_bulk_commands(
    services: ServicesOf, caller: Reader, paging: paging_of(BULKS), operator: Name | None = None,
    status: Literal["running", "done", "cancelled"] | None = None,
) -> Page[BulkView]:  # fmt: skip
    """The latest first."""
    return paged(await services.queries.page(BULKS, paging, caller.within(operator), status=status), _view)


@router.get("/{id}", responses=described(404))
async def show_bulk_command(id: int, services: ServicesOf, caller: Reader) -> BulkDetail:
    """How far it is."""
    return await _detail(services, await _find(services, caller, id))


@router.get("/{id}/items", responses=described(404))
async def list_bulk_items(
    id: int, services: ServicesOf, caller: Reader, paging: paging_of(ITEMS), state: State | None = None
) -> Page[ItemView]:
    """What became of each station."""
    await _find(services, caller, id)
    return paged(await services.queries.page(ITEMS, paging, bulk=id, state=state and (id, state)), _item)


@router.post("/{id}/cancel", responses=described(404, 409))
async def cancel_bulk_command(id: int, services: ServicesOf, caller: Steerer) -> BulkDetail:
    """Ask nobody else; what is under way goes on, and is recorded."""
    await _find(services, caller, id)
    if not await services.bulk.cancel(id):
        raise Problem(409, f"Bulk command {id} has ended already.")
    return await _detail(services, await _find(services, caller, id))


def _check(ask: BulkAsk) -> None:
    """What no station can be asked is refused at once; what some cannot is told of each."""
    if sets_password(ask.payload):
        raise Problem(422, "Each station needs a password of its own: set them one by one.", path="payload")
    if ask.verb is None:
        if not any(ask.action in actions(version) and actions(version)[ask.action].from_csms for version in Version):
            raise Problem(422, f"A central system asks no {ask.action!r} in any version of OCPP.", path="action")
        return
    if ask.verb not in VERBS:
        raise Problem(422, f"There is no verb {ask.verb!r}. There are: {', '.join(VERBS)}.", path="verb")
    try:
        TypeAdapter(VERBS[ask.verb].ask).validate_python(ask.payload)
        msgspec.convert(ask.payload, VERBS[ask.verb].ask)
    except (ValidationError, msgspec.ValidationError) as error:
        raise Problem(422, f"These are no words of {ask.verb}: {error}", path="payload") from None


async def _find(services: Services, caller: Caller, id: int) -> Row:
    row = await services.bulk_log.find(id) if abs(id) < 1 << 63 else None
    if row is None or caller.operator not in (None, row["operator"]):
        raise Problem(404, f"There is no bulk command {id}.")
    return row


async def _detail(services: Services, row: Row) -> BulkDetail:
    return BulkDetail(**_view(row).model_dump(), progress=await services.bulk_log.counts(row["id"]))


def _view(row: Row) -> BulkView:
    asked = msgspec.json.decode(row["asked"], type=Asked)
    payload = masked(asked.action or "", audit.masked(asked.payload))
    return BulkView(**{**row, "action": asked.action, "verb": asked.verb, "payload": payload})


def _item(row: Row) -> ItemView:
    return ItemView(**{**row, "response": row["response"] and msgspec.json.decode(row["response"])})
