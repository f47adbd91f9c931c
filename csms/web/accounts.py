"""REST resources `users`, `api-keys` and `audit`: who may use the API, and who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import ConfigDict, Field

from csms.domain.credentials import new_api_key, new_password
from csms.storage import accounts, admin
from csms.storage.listings import AUDIT, KEYS, USERS
from csms.storage.paging import Listing, Row
from csms.storage.tables import api_keys, users
from csms.web.access import Caller, Manager, Role
from csms.web.login import NewPassword
from csms.web.models import Moment, Name, Request, Shape, Word
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of

router = APIRouter(tags=["access"])
ServicesOf = Annotated[Services, Depends(services_of)]
Label = Annotated[str, Field(min_length=1, max_length=255)]
_Scope = Field(
    None, description="Whose things it may see and change; null: everybody's (only who may see all gives that)."
)


class UserCreation(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ada", "role": "viewer", "operator": "north"}]})

    name: Label
    role: Role
    operator: Name | None = _Scope
    password: NewPassword | None = Field(None, description="Left out, one is generated and shown once.")


class UserChange(Request):
    """What is left out stays. A new role or password, or `disabled`, ends the user's logins."""

    role: Role | None = None
    disabled: bool | None = None
    password: NewPassword | None = None


class UserView(Shape):
    id: int
    name: str
    role: str
    operator: str | None = None
    disabled: bool
    created_at: datetime
    password: str | None = Field(None, description="Only in the answer that generated it.")


class KeyCreation(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "billing", "role": "viewer"}]})

    name: Label
    role: Role
    operator: Name | None = _Scope
    expires_at: Moment | None = Field(None, description="Left out: it holds until it is deleted.")


class KeyView(Shape):
    id: int
    name: str
    role: str
    operator: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    key: str | None = Field(None, description="Only in the answer that made it: it is stored hashed.")


class AuditView(Shape):
    id: int
    at: datetime
    actor: str = Field(description="Who: a key's or a user's name, behind its operator's.")
    actor_kind: str
    operator: str | None = Field(None, description="Whose things were concerned.")
    action: str = Field(description="Method and route.")
    object: str = Field(description="The path that was asked.")
    outcome: str = Field(description="done, refused (the request was wrong or not allowed), failed (our fault).")
    address: str | None = None
    detail: dict[str, Any] = Field(
        description="What was sent, with secrets masked; the HTTP status where it was refused."
    )


@router.get("/users")
async def list_users(
    services: ServicesOf, caller: Manager, paging: paging_of(USERS), operator: Name | None = None,
    role: Role | None = None,
) -> Page[UserView]:  # fmt: skip
    """People who log in with a password, by name."""
    found = await services.queries.page(USERS, paging, caller.within(operator), role=role)
    return paged(found, lambda row: UserView(**row))


@router.post("/users", status_code=201, responses=described(404, 409))
async def add_user(creation: UserCreation, services: ServicesOf, caller: Manager) -> UserView:
    """Let somebody in. Names are unique within an operator; a user of an operator logs in with both."""
    operator_id = await _scope(services, caller, creation.operator)
    shown = None if creation.password is not None else new_password()
    fields = {
        "name": creation.name, "role": creation.role, "operator_id": operator_id,
        "password_hash": await services.passwords.hash(creation.password or shown or ""),
    }  # fmt: skip
    id = await services.write(accounts.add_user(fields, services.clock()), bool)
    if id is None:
        raise Problem(409, f"There is a user {creation.name!r} already: change it with PATCH, or choose another name.")
    return UserView(**await _find(services, caller, USERS, id), password=shown)


@router.get("/users/{id}", responses=described(404))
async def show_user(id: int, services: ServicesOf, caller: Manager) -> UserView:
    """One user."""
    return UserView(**await _find(services, caller, USERS, id))


@router.patch("/users/{id}", responses=described(404))
async def change_user(id: int, change: UserChange, services: ServicesOf, caller: Manager) -> UserView:
    """Change a user: what is left out (or null) stays."""
    await _find(services, caller, USERS, id)
    fields = change.model_dump(exclude_none=True)
    password = fields.pop("password", None)
    if password is not None:
        fields["password_hash"] = await services.passwords.hash(password)
    await services.write(accounts.change_user(id, fields, services.clock()))
    return UserView(**await _find(services, caller, USERS, id))


@router.delete("/users/{id}", status_code=204, responses=described(404))
async def delete_user(id: int, services: ServicesOf, caller: Manager) -> None:
    """Let somebody in no longer; what it did stays in the audit log."""
    await _find(services, caller, USERS, id)
    await services.write(accounts.delete_user(id))


@router.get("/api-keys")
async def list_keys(
    services: ServicesOf, caller: Manager, paging: paging_of(KEYS), operator: Name | None = None,
    role: Role | None = None,
) -> Page[KeyView]:  # fmt: skip
    """Keys that programs use, in the order in which they were made."""
    found = await services.queries.page(KEYS, paging, caller.within(operator), role=role)
    return paged(found, lambda row: KeyView(**row))


@router.post("/api-keys", status_code=201, responses=described(404, 409))
async def add_key(creation: KeyCreation, services: ServicesOf, caller: Manager) -> KeyView:
    """Make a key. It is shown in this answer, and never again."""
    operator_id = await _scope(services, caller, creation.operator)
    key = new_api_key()
    fields = {
        "name": creation.name, "role": creation.role, "operator_id": operator_id,
        "expires_at": creation.expires_at, "key_hash": services.vault.key_hash(key),
    }  # fmt: skip
    id = await services.write(accounts.add_key(fields, services.clock()), bool)
    if id is None:
        raise Problem(409, f"There is a key {creation.name!r} already: delete it, or choose another name.")
    return KeyView(**await _find(services, caller, KEYS, id), key=key)


@router.get("/api-keys/{id}", responses=described(404))
async def show_key(id: int, services: ServicesOf, caller: Manager) -> KeyView:
    """One key, without its secret."""
    return KeyView(**await _find(services, caller, KEYS, id))


@router.delete("/api-keys/{id}", status_code=204, responses=described(404))
async def delete_key(id: int, services: ServicesOf, caller: Manager) -> None:
    """Revoke a key: it opens nothing from now on."""
    await _find(services, caller, KEYS, id)
    await services.write(accounts.delete_key(id))


@router.get("/audit")
async def list_audit(
    services: ServicesOf, caller: Manager, paging: paging_of(AUDIT),
    operator: Annotated[Name | None, Query(description="Whose things were concerned.")] = None,
    actor: Word | None = None,
    action: Annotated[Word | None, Query(examples=["PUT /api/v1/stations/{id}"])] = None,
    object: Annotated[Word | None, Query(examples=["/api/v1/stations/CP-1"])] = None,
    outcome: Word | None = None,
    since: Moment | None = None,
    until: Annotated[Moment | None, Query(description="Before this moment.")] = None,
) -> Page[AuditView]:  # fmt: skip
    """Who changed what, or tried to, the latest first. Entries are never changed and never removed."""
    found = await services.queries.page(
        AUDIT, paging, concerning=caller.within(operator), actor=actor, action=action, object=object, outcome=outcome,
        since=since, until=until,
    )  # fmt: skip
    return paged(found, lambda row: AuditView(**row))


async def _scope(services: Services, caller: Caller, operator: str | None) -> int | None:
    """The number of the operator that something is made for; 404 for one that does not exist for the caller."""
    if operator is None and caller.operator is None:
        return None
    name = caller.chosen(operator)
    row = await services.queries.operator(name)
    if row is None and name != admin.DEFAULT_OPERATOR:
        raise Problem(404, f"There is no operator {name!r}. Add it: PUT /operators/{name}.")
    return await services.operator_id(name)


async def _find(services: Services, caller: Caller, listing: Listing, id: int) -> Row:
    table = users if listing is USERS else api_keys
    row = await services.queries.first(listing.query.where(table.c.id == id)) if abs(id) < 1 << 63 else None
    if row is None or not caller.may_see(row["operator"]):
        raise Problem(404, f"There is no {'user' if listing is USERS else 'key'} {id}.")
    return row
