"""Errors as RFC 9457 problem details: what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from csms.domain.ports import StorageUnavailable
from csms.storage.paging import BadCursor

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

# What to do about the errors that the framework finds by itself and words too briefly.
_REMEDIES = {
    404: "There is nothing at {path}; /api/docs (for programs /api/openapi.json) tells what there is.",
    405: "{method} cannot be done to {path}; /api/docs tells what can.",
}


class ProblemView(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


def described(*statuses: int) -> dict[int | str, Any]:
    """How these errors stand in the API's description."""
    content = {MEDIA_TYPE: {"schema": ProblemView.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


class Problem(Exception):
    """An answer that is an error. `detail` tells people what to do; `extra` goes along for programs."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **extra: object):
        super().__init__(detail)
        self.headers = headers
        self.status = status
        self.detail = detail
        self.extra = extra


def install(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem document."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, problem: Problem) -> JSONResponse:
        return answer(problem.status, problem.detail, problem.headers, **problem.extra)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        remedy = _REMEDIES.get(error.status_code, str(error.detail))
        detail = remedy.format(method=request.method, path=request.url.path)
        return answer(error.status_code, detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"path": ".".join(str(part) for part in found["loc"]), "problem": found["msg"]} for found in error.errors()
        ]
        return answer(422, "; ".join(f"{found['path']}: {found['problem']}" for found in errors), errors=errors)

    @app.exception_handler(BadCursor)
    async def _cursor(request: Request, error: BadCursor) -> JSONResponse:
        return answer(422, str(error))

    @app.exception_handler(StorageUnavailable)
    async def _storage(request: Request, error: StorageUnavailable) -> JSONResponse:
        return answer(503, f"Nothing can be stored at the moment ({error}); nothing was changed. Try again later.")

    @app.exception_handler(Exception)
    async def _surprise(request: Request, error: Exception) -> JSONResponse:
        log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
        return answer(500, "This failed by a mistake of the server; its log tells more.")


def answer(status: int, detail: str, headers: Mapping[str, str] | None = None, **extra: object) -> JSONResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}
    if status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)
