"""The HTTP application: REST API under /api/v1, health, metrics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from csms.web import (
    accounts,
    asked,
    bulk,
    certificates,
    commands,
    events,
    locations,
    login,
    network,
    operators,
    problems,
    sessions,
    stations,
    tariffs,
    tokens,
    trail,
    verbs,
    webhooks,
)
from csms.web.access import Bounded, Exact, Reader, slashes_back
from csms.web.audit import Audited
from csms.web.documentation import documentation
from csms.web.models import Totals
from csms.web.services import Services, services_of
from csms.web.siblings import summed

PREFIX = "/api/v1"
RESOURCES = (
    operators,
    locations,
    network,
    stations,
    tokens,
    sessions,
    commands,
    asked,
    tariffs,
    events,
    trail,
    webhooks,
    certificates,
    verbs,
    bulk,
    accounts,
    login,
)
ServicesOf = Annotated[Services, Depends(services_of)]
Own = Annotated[bool, Query(description="Only of the worker that answers.")]


DESCRIPTION = """Central system for charging stations: who they are, what they charge, and what is asked of them.

Requests carry a key, `Authorization: Bearer <key>`: enter one at «Authorize». Errors are RFC 9457 problem details
that say what to do. What stations are asked comes in neutral words (`verbs`) and in the specification's own (`commands`).
Events are at `/api/v1/events`, and described for MQTT, webhooks and server-sent events at `/api/asyncapi.json`.
"""


def build_api(version: str, asyncapi: dict[str, Any]) -> FastAPI:
    """The application; it answers once `app.state.services` is set, so that it can be built before workers are forked."""
    app = FastAPI(
        title="CSMS", version=version, openapi_url="/api/openapi.json", docs_url=None, redoc_url=None,
        redirect_slashes=False,
        description=DESCRIPTION,
    )  # fmt: skip
    app.add_middleware(Audited)
    app.add_middleware(Bounded)
    app.add_middleware(Exact)
    problems.install(app)
    errors = problems.described(401, 403, 422, 503)
    resources = APIRouter(prefix=PREFIX, responses=errors, dependencies=[Depends(slashes_back)])
    for resource in RESOURCES:
        resources.include_router(resource.router)

    @resources.get("/totals", tags=["system"])
    async def totals(caller: Reader, services: ServicesOf) -> Totals:
        """How much there is of everything."""
        return Totals(**await services.queries.totals(caller.operator))

    app.include_router(resources)
    _add_probes(app)
    app.include_router(documentation(asyncapi))
    return app


def _add_probes(app: FastAPI) -> None:
    @app.get("/health/live", tags=["system"], response_class=PlainTextResponse)
    async def live() -> str:
        """The process runs."""
        return "ok\n"

    @app.get("/health/ready", tags=["system"], responses=problems.described(422))
    async def ready(services: ServicesOf, own: Own = False) -> JSONResponse:
        """Stations may be sent here: to any worker that runs."""
        reasons = [services.ready()]
        if not own:
            reasons += [each.json()["reason"] for each in await services.siblings.ask("/health/ready")]
        reason = next(filter(None, reasons), None)
        return JSONResponse({"ready": reason is None, "reason": reason}, 200 if reason is None else 503)

    @app.get("/metrics", tags=["system"], responses=problems.described(422))
    async def metrics(services: ServicesOf, own: Own = False) -> Response:
        """What the server counts, for Prometheus: the sum over all workers of this machine."""
        texts = [services.metrics()]
        if not own:
            texts += [each.content for each in await services.siblings.ask("/metrics") if each.is_success]
        return Response(summed(texts), media_type=CONTENT_TYPE_LATEST)
