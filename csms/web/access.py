"""Who may use the API: the bearer of a key, or whoever may open the control socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Request, Security
from fastapi.exceptions import HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csms.storage import admin
from csms.web.problems import Problem
from csms.web.services import Services

TRUSTED = "csms.trusted"  # In the ASGI scope: the file system has vouched for the client already.
MAX_BODY = 4 << 20  # Bytes.

Role = Literal["admin", "operator", "support", "viewer"]
# read: look at everything in scope · steer: ask something of stations · edit: change stations, tokens, … ·
# manage: operators, users and keys.
Right = Literal["read", "steer", "edit", "manage"]
RIGHTS: dict[Role, frozenset[Right]] = {
    "admin": frozenset(("read", "steer", "edit", "manage")),
    "operator": frozenset(("read", "steer", "edit")),
    "support": frozenset(("read", "steer")),
    "viewer": frozenset(("read",)),
}

_bearer = HTTPBearer(scheme_name="key", auto_error=False, description="An API key; `csms serve` shows the first one.")


class Trusted:
    """The same application for those who come through the control socket, which only its owner may open."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, TRUSTED: True}, receive, send)


class Bounded:
    """The same application for bodies of bounded size: they are read before it is known who sends them."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise HTTPException(413, f"Send at most {MAX_BODY >> 20} MiB in one request.")
            return message

        await self._app(scope, bounded, send)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `operator` is the one whose things it may see and change; None: those of all."""

    name: str
    role: Role
    operator: str | None = None

    def chosen(self, operator: str | None) -> str:
        """The operator whose things are meant; a foreign one is to the caller as if it did not exist (404)."""
        chosen = operator or self.operator or admin.DEFAULT_OPERATOR
        if self.operator not in (None, chosen):
            raise Problem(404, f"There is no operator {chosen!r}.")
        return chosen

    def within(self, operator: str | None) -> str | None:
        """What a listing is narrowed to; None: nothing, for those who may see all."""
        return operator if operator is None and self.operator is None else self.chosen(operator)


OWNER = Caller("owner", "admin")  # Who may open the control socket owns the server.


async def caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """Who asks; 401 without a valid key."""
    if request.scope.get(TRUSTED):
        return OWNER
    services: Services = request.app.state.services
    known = None if credentials is None else await services.bearer(credentials.credentials.strip())
    if known is None:
        raise Problem(401, "Send a valid API key: 'Authorization: Bearer <key>'. The first one was shown on first run.")
    return Caller(*known)


def _who_may(right: Right) -> Callable[..., Caller]:
    def allowed(caller: Annotated[Caller, Depends(caller)]) -> Caller:
        if right not in RIGHTS[caller.role]:
            raise Problem(403, f"The role {caller.role!r} may not {right}. Ask an admin for a key that may.")
        return caller

    return allowed


# Every route names one of these: who may call it.
Reader = Annotated[Caller, Depends(_who_may("read"))]
Steerer = Annotated[Caller, Depends(_who_may("steer"))]
Editor = Annotated[Caller, Depends(_who_may("edit"))]
Manager = Annotated[Caller, Depends(_who_may("manage"))]
