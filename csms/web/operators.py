"""REST resource `operators`: who shares the system, each with stations, tokens and people of its own."""

from __future__ import annotations

from operator import not_
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from csms.storage import admin, places
from csms.storage.listings import OPERATORS
from csms.storage.paging import Row
from csms.web.access import Caller, Manager, Reader
from csms.web.models import Request, Shape, Word, usable_name
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of

router = APIRouter(tags=["operators"])
ServicesOf = Annotated[Services, Depends(services_of)]


class OperatorChange(Request):
    display_name: str | None = Field(None, max_length=255, examples=["Stadtwerke Nord"])


class OperatorView(Shape):
    name: str = Field(description="What stands in `?operator=`, in the paths of stations and in topics.")
    display_name: str | None = None


@router.get("/operators")
async def list_operators(
    services: ServicesOf, caller: Reader, paging: paging_of(OPERATORS),
    text: Annotated[Word | None, Query(description="Stands in one of the names, whatever the case.")] = None,
) -> Page[OperatorView]:  # fmt: skip
    """The operators that the caller may see, by name."""
    found = await services.queries.page(OPERATORS, paging, caller.operator, text=text)
    return paged(found, lambda row: OperatorView(**row))


@router.get("/operators/{name}", responses=described(404))
async def show_operator(name: str, services: ServicesOf, caller: Reader) -> OperatorView:
    """One operator."""
    return OperatorView(**await _find(services, caller, name))


@router.put("/operators/{name}", responses={201: {"model": OperatorView}} | described(404))
async def put_operator(
    name: str, change: OperatorChange, services: ServicesOf, caller: Manager, response: Response
) -> OperatorView:
    """Create an operator, or change it. Only who may see all operators creates one."""
    try:
        name = caller.chosen(usable_name(name))
    except ValueError as error:
        raise Problem(422, str(error)) from None
    if caller.operator is not None:
        await _find(services, caller, name)
    created = await services.write(places.put_operator(name, change.model_dump(exclude_unset=True)))
    response.status_code = 201 if created else 200
    return OperatorView(**await _find(services, caller, name))


@router.delete("/operators/{name}", status_code=204, responses=described(404, 409))
async def delete_operator(name: str, services: ServicesOf, caller: Manager) -> None:
    """Forget an operator that has nothing."""
    found = await _find(services, caller, name)
    if caller.operator is not None or name == admin.DEFAULT_OPERATOR:
        raise Problem(409, f"Operator {name!r} stays: it is the one you belong to, or the default one.")
    left = await services.write(places.delete_operator(found["id"]), not_)
    if left is not None:
        raise Problem(409, f"Operator {name!r} still has {left.replace('_', ' ')}: delete them first.")


async def _find(services: Services, caller: Caller, name: str) -> Row:
    row = await services.queries.operator(name)
    if row is None or not caller.may_see(name):
        raise Problem(404, f"There is no operator {name!r}.")
    return row
