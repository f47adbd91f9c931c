"""What there is: a page that shows the API (offline, with a strict content policy), and the description of events."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from csms.web.problems import Problem

# The interface is Swagger UI; the package is taken for its files only.
_STATIC = files("fastapi_offline") / "static"
_ASSETS = {
    "swagger-ui.css": ("text/css", _STATIC / "swagger-ui.css"),
    "swagger-ui-bundle.js": ("text/javascript", _STATIC / "swagger-ui-bundle.js"),
}
# Nothing from elsewhere, nothing inline; pictures of the interface are data within its style sheet.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CSMS API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null});\n'


def documentation(asyncapi: dict[str, Any]) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/api/docs")
    async def page() -> Response:
        return Response(_PAGE, media_type="text/html", headers=_HEADERS)

    @router.get("/api/docs/{name}")
    async def asset(name: str) -> Response:
        if name == "start.js":
            return Response(_START, media_type="text/javascript", headers=_HEADERS)
        if name not in _ASSETS:
            raise Problem(404, f"There is no file {name!r} here: the page is at /api/docs.")
        kind, path = _ASSETS[name]
        return Response(path.read_bytes(), media_type=kind, headers=_HEADERS | {"Cache-Control": "max-age=86400"})

    @router.get("/api/asyncapi.json")
    async def events() -> JSONResponse:
        return JSONResponse(asyncapi)

    return router
