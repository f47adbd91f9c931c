"""Who may use the API: the bearer of a key, or whoever may open the control socket."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Security
from fastapi.exceptions import HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csms.web.problems import Problem
from csms.web.services import Services

TRUSTED = "csms.trusted"  # In the ASGI scope: the file system has vouched for the client already.
MAX_BODY = 4 << 20  # Bytes.

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


async def require_admin(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> None:
    """Let admins pass; 401 without a valid key."""
    if request.scope.get(TRUSTED):
        return
    services: Services = request.app.state.services
    if credentials is None or await services.role_of(credentials.credentials.strip()) != "admin":
        raise Problem(401, "Send a valid API key: 'Authorization: Bearer <key>'. The first one was shown on first run.")
