"""REST resource `tokens`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from csms.domain.tokens import Token, TokenStatus, decide
from csms.storage import admin
from csms.storage.listings import GROUPS, TOKENS
from csms.storage.paging import Paging, Row
from csms.web.access import Editor, Reader
from csms.web.models import UNREADABLE, GroupChange, GroupView, Name, TokenChange, TokenView, Word
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem
from csms.web.services import Services, services_of

router = APIRouter(tags=["tokens"])
ServicesOf = Annotated[Services, Depends(services_of)]


@router.get("/tokens")
async def list_tokens(
    services: ServicesOf,
    caller: Reader,
    paging: paging_of(TOKENS),
    operator: Name | None = None,
    group: Word | None = None,
    status: TokenStatus | None = None,
    type: Word | None = None,
    text: Annotated[
        Word | None,
        Query(
            description="Stands in the value or the group (one or two characters: at the beginning), whatever the case."
        ),
    ] = None,
) -> Page[TokenView]:
    """Who may charge, by value."""
    found = await services.queries.page(
        TOKENS, paging, caller.within(operator), group=group, status=status, type=type, text=text
    )
    return paged(found, lambda row: _view(services, row))


@router.get("/token-groups")
async def list_groups(
    services: ServicesOf, caller: Reader, paging: paging_of(GROUPS), operator: Name | None = None
) -> Page[GroupView]:
    """Groups of tokens, by name: tokens of one group may stop each other's sessions. `GET /tokens?group=` tells whose."""
    found = await services.queries.page(GROUPS, paging, caller.within(operator))
    return paged(found, lambda row: GroupView(**row))


@router.get("/token-groups/{name}")
async def show_group(name: str, services: ServicesOf, caller: Reader, operator: Name | None = None) -> GroupView:
    """One group of tokens."""
    return await _group(services, caller.chosen(operator), name)


@router.put("/token-groups/{name}", responses={201: {"model": GroupView}})
async def put_group(
    name: Word, change: GroupChange, services: ServicesOf, caller: Editor, response: Response,
    operator: Name | None = None,
) -> GroupView:  # fmt: skip
    """Make these tokens a group, or a group's; those that belonged to it and are not named belong to none."""
    operator = caller.chosen(operator)
    known = (await services.queries.page(GROUPS, Paging(1), operator, name=name)).rows
    await _members(services, operator, name, change.tokens)
    response.status_code = 200 if known else 201
    return await _group(services, operator, name)


@router.delete("/token-groups/{name}", status_code=204)
async def delete_group(name: str, services: ServicesOf, caller: Editor, operator: Name | None = None) -> None:
    """Its tokens belong to no group any more; they stay."""
    operator = caller.chosen(operator)
    await _group(services, operator, name)
    await _members(services, operator, name, [])


@router.get("/tokens/{value}")
async def show_token(value: str, services: ServicesOf, caller: Reader, operator: Name | None = None) -> TokenView:
    """One token, and what a station asking now is told."""
    return _view(services, await _find(services, caller.chosen(operator), value))


@router.put("/tokens/{value}", responses={201: {"model": TokenView}})
async def put_token(
    value: str,
    change: TokenChange,
    services: ServicesOf,
    caller: Editor,
    response: Response,
    operator: Name | None = None,
) -> TokenView:
    """Create a token or replace its fields. Values are compared without case."""
    operator = caller.chosen(operator)
    if not value.strip() or len(value) > 255 or not value.isprintable() or UNREADABLE in value:
        raise Problem(422, "A token has 1 to 255 printable characters.")
    operator_id = await services.operator_id(operator)
    created = await services.write(admin.put_token(operator_id, value, change.model_dump(), services.clock()))
    services.token_changed(operator_id, value)
    response.status_code = 201 if created else 200
    return _view(services, await _find(services, operator, value))


@router.delete("/tokens/{value}", status_code=204)
async def delete_token(value: str, services: ServicesOf, caller: Editor, operator: Name | None = None) -> None:
    """Nobody charges with it any more; its sessions stay."""
    row = await _find(services, caller.chosen(operator), value)
    await services.write(admin.delete_token(row["operator_id"], value))
    services.token_changed(row["operator_id"], value)


async def _find(services: Services, operator: str, value: str) -> Row:
    row = await services.queries.token(operator, value)
    if row is None:
        raise Problem(404, f"Operator {operator!r} has no token {value!r}. Add it: csms token add, or PUT.")
    return row


async def _group(services: Services, operator: str, name: str) -> GroupView:
    found = (await services.queries.page(GROUPS, Paging(1), operator, name=name)).rows
    if not found:
        raise Problem(404, f"Operator {operator!r} has no group {name!r}. Make it: PUT with its tokens.")
    return GroupView(**found[0])


async def _members(services: Services, operator: str, name: str, values: list[str]) -> None:
    operator_id = await services.operator_id(operator)
    missing, changed = await services.write(admin.put_group(operator_id, name, values), lambda done: done[0] is None)
    if missing is not None:
        raise Problem(422, f"Operator {operator!r} has no token {missing!r}. Nothing was changed.", path="tokens")
    for value in changed:
        services.token_changed(operator_id, value)


def _view(services: Services, row: Row) -> TokenView:
    token = Token(row["value"], row["type"], row["status"], row["group"], row["expires_at"])
    return TokenView(**row, effective_status=decide(token, services.clock()).verdict)
