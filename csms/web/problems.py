"""Errors as RFC 9457 problem details: what is wrong, and what to do about it."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from csms.domain.ports import StorageUnavailable
from csms.storage.queries import BadCursor


class Problem(Exception):
    """An answer that is an error. `detail` tells people what to do; `extra` goes along for programs."""

    def __init__(self, status: int, detail: str, **extra: object):
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.extra = extra


def install(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem document."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, problem: Problem) -> JSONResponse:
        return _answer(problem.status, problem.detail, **problem.extra)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return _answer(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"path": ".".join(str(part) for part in found["loc"]), "problem": found["msg"]} for found in error.errors()
        ]
        return _answer(422, "; ".join(f"{found['path']}: {found['problem']}" for found in errors), errors=errors)

    @app.exception_handler(BadCursor)
    async def _cursor(request: Request, error: BadCursor) -> JSONResponse:
        return _answer(422, str(error))

    @app.exception_handler(StorageUnavailable)
    async def _storage(request: Request, error: StorageUnavailable) -> JSONResponse:
        return _answer(503, f"Nothing can be stored at the moment ({error}); nothing was changed. Try again later.")


def _answer(status: int, detail: str, **extra: object) -> JSONResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(body, status, headers, media_type="application/problem+json")
