"""Who may use the API: the bearer of a key, or whoever may open the control socket."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import unquote

from fastapi import Depends, Request, Security
from fastapi.exceptions import HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csms.storage import admin
from csms.web import audit, problems
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


class Exact:
    """The same application with paths taken apart before they are decoded: `a%2Fb` is one name, not two.

    Within, a slash that belongs to a name is written as NUL, which no name may hold; `slashes_back` ends that.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path") or b""
        if b"%00" in raw or b"%00" in scope.get("query_string", b""):
            answer = problems.answer(422, "What stands in a URL has to be printable: NUL (%00) is not.")
            return await answer(scope, receive, send)
        if b"%2f" in raw.lower():
            path = unquote(re.sub(r"%2f", "%00", raw.decode("ascii"), flags=re.IGNORECASE))
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)


def slashes_back(request: Request) -> None:
    """Names in the path as they are."""
    for name, value in request.path_params.items():
        request.path_params[name] = value.replace("\0", "/")


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
    kind: Literal["key", "user", "owner"] = "key"
    user: int | None = None  # Its number, where it is one …
    login: int | None = None  # … and that of the login it uses.

    def may_see(self, operator: str | None) -> bool:
        """Whether what belongs to this operator (None: to all of them) exists for the caller."""
        seen = self.operator in (None, operator)
        if seen and operator is not None:
            audit.concerns(operator)
        return seen

    def chosen(self, operator: str | None) -> str:
        """The operator whose things are meant; a foreign one is to the caller as if it did not exist (404)."""
        chosen = operator or self.operator or admin.DEFAULT_OPERATOR
        if not self.may_see(chosen):
            raise Problem(404, f"There is no operator {chosen!r}.")
        return chosen

    def within(self, operator: str | None) -> str | None:
        """What a listing is narrowed to; None: nothing, for those who may see all."""
        return operator if operator is None and self.operator is None else self.chosen(operator)


OWNER = Caller("owner", "admin", kind="owner")  # Who may open the control socket owns the server.


async def caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """Who asks; 401 without a valid key."""
    if request.scope.get(TRUSTED):
        audit.acts(OWNER.name, OWNER.kind, None)
        return OWNER
    services: Services = request.app.state.services
    known = None if credentials is None else await services.bearer(credentials.credentials.strip())
    if known is None:
        raise Problem(
            401,
            "Send a valid API key: 'Authorization: Bearer <key>'. The first one was shown on the first run; "
            "`csms key add NAME` on the server's machine makes another. From the command line: CSMS_ADMIN_KEY.",
        )
    audit.acts(known.name if known.operator is None else f"{known.operator}/{known.name}", known.kind, known.operator)
    return Caller(*known)  # type: ignore[arg-type]


def _who_may(right: Right) -> Callable[..., Caller]:
    def allowed(caller: Annotated[Caller, Depends(caller)]) -> Caller:
        if right not in RIGHTS[caller.role]:
            raise Problem(403, f"The role {caller.role!r} may not {right}. Ask an admin for a key that may.")
        return caller

    return allowed


# Every route names one of these: who may call it.
Anybody = Annotated[Caller, Depends(caller)]  # Whoever has a key or is logged in.
Reader = Annotated[Caller, Depends(_who_may("read"))]
Steerer = Annotated[Caller, Depends(_who_may("steer"))]
Editor = Annotated[Caller, Depends(_who_may("edit"))]
Manager = Annotated[Caller, Depends(_who_may("manage"))]
