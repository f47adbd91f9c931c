"""REST: people log in with a name and a password, and get a secret that holds for some hours."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi import Request as HttpRequest
from pydantic import ConfigDict, Field

from csms.domain.credentials import new_api_key
from csms.storage import accounts
from csms.web import audit
from csms.web.access import RIGHTS, Anybody
from csms.web.models import Name, Request, Shape
from csms.web.passwords import LONGEST, SHORTEST
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of

router = APIRouter(tags=["access"])
ServicesOf = Annotated[Services, Depends(services_of)]

HOLDS = timedelta(hours=12)
NewPassword = Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]


class LoginRequest(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ada", "password": "correct horse battery"}]})

    name: str = Field(max_length=255)
    password: str = Field(max_length=LONGEST)
    operator: Name | None = Field(
        None, description="Whose user it is; left out: one that looks after the whole system."
    )


class LoginView(Shape):
    token: str = Field(description="Send it as `Authorization: Bearer …`. It is shown only here.")
    expires_at: datetime
    name: str
    role: str
    operator: str | None = None


class MeView(Shape):
    name: str
    kind: str = Field(description="key, user, or owner: who may open the control socket.")
    role: str
    operator: str | None = Field(None, description="Whose things it may see; null: everybody's.")
    rights: list[str]


class PasswordChange(Request):
    current: str = Field(max_length=LONGEST)
    new: NewPassword


@router.post("/login", responses=described(401, 429))
async def log_in(login: LoginRequest, request: HttpRequest, services: ServicesOf) -> LoginView:
    """Log in. Wrong guesses are slowed down (429, `Retry-After`)."""
    address = request.client.host if request.client else ""
    who = (login.operator, login.name)
    user = await services.queries.first(accounts.find_user(login.name, login.operator))
    known = user is not None and await services.queries.first(accounts.came_from(user["id"], address)) is not None
    wait = services.guesses.wait(address, who, known)
    if wait:
        seconds = str(math.ceil(wait))
        raise Problem(429, f"Too many wrong guesses: try again in {seconds} s.", headers={"Retry-After": seconds})
    # Counted before it is looked at, so that many at once are many.
    services.guesses.failed(address, who, known)
    right = await services.passwords.matches(user and user["password_hash"], login.password)
    audit.acts(login.name, "user", login.operator)
    if user is None or not right or user["disabled"]:
        raise Problem(401, "The name, the operator or the password is wrong.")
    services.guesses.passed(address, who, known)
    token, now = new_api_key(), services.clock()
    expires_at = now + HOLDS
    kept = services.vault.key_hash(token)
    await services.write(accounts.add_login(user["id"], kept, address, now, expires_at))
    return LoginView(**{**user, "token": token, "expires_at": expires_at})


@router.post("/logout", status_code=204, responses=described(409))
async def log_out(services: ServicesOf, caller: Anybody) -> None:
    """The secret that this is sent with holds no longer. (Keys are deleted instead.)"""
    if caller.login is None:
        raise Problem(409, "Only a user is logged in; a key is ended with DELETE /api-keys/{id}.")
    await services.write(accounts.end_login(caller.login, services.clock()))


@router.get("/me")
async def show_me(caller: Anybody) -> MeView:
    """Who the caller is, and what it may."""
    return MeView(
        name=caller.name, kind=caller.kind, role=caller.role, operator=caller.operator,
        rights=sorted(RIGHTS[caller.role]),
    )  # fmt: skip


@router.put("/me/password", status_code=204, responses=described(409, 429))
async def change_password(change: PasswordChange, request: HttpRequest, services: ServicesOf, caller: Anybody) -> None:
    """Change one's own password; every login of this user ends, this one too."""
    if caller.user is None:
        raise Problem(409, "Only a user has a password.")
    user = await services.queries.first(accounts.find_user(caller.name, caller.operator))
    address, who = request.client.host if request.client else "", (caller.operator, caller.name)
    wait = services.guesses.wait(address, who, True)
    if wait:
        seconds = str(math.ceil(wait))
        raise Problem(429, f"Too many wrong guesses: try again in {seconds} s.", headers={"Retry-After": seconds})
    services.guesses.failed(address, who, True)  # Before it is looked at, as above.
    if user is None or not await services.passwords.matches(user["password_hash"], change.current):
        raise Problem(422, "body.current: this is not your password.")
    services.guesses.passed(address, who, True)
    fields = {"password_hash": await services.passwords.hash(change.new)}
    await services.write(accounts.change_user(user["id"], fields, services.clock()))
