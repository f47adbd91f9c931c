"""Who may use the API: the bearer of a key, or whoever may open the control socket."""

from __future__ import annotations

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from csms.web.problems import Problem
from csms.web.services import Services

TRUSTED = "csms.trusted"  # In the ASGI scope: the file system has vouched for the client already.


class Trusted:
    """The same application for those who come through the control socket, which only its owner may open."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, TRUSTED: True}, receive, send)


async def require_admin(request: Request) -> None:
    """Let admins pass; 401 without a valid key."""
    if request.scope.get(TRUSTED):
        return
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    services: Services = request.app.state.services
    if scheme.lower() != "bearer" or not key or await services.role_of(key.strip()) != "admin":
        raise Problem(401, "Send a valid API key: 'Authorization: Bearer <key>'. The first one was shown on first run.")
