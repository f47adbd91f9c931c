"""The HTTP application as a whole: probes, metrics, its description."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from csms.app import System
from tests.web.conftest import add_session, assert_problem, client

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_live_says_that_the_process_runs(outside) -> None:
    response = await outside.get("/health/live")
    assert (response.status_code, response.text) == (200, "ok\n")


async def test_ready_says_that_stations_may_come(outside) -> None:
    response = await outside.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"ready": True, "reason": None})


async def test_stopping_server_is_not_ready(system: System, outside, monkeypatch) -> None:
    monkeypatch.setattr(system.gateway, "stopping", True)
    response = await outside.get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"ready": False, "reason": "the server is stopping"})


async def test_server_that_cannot_store_is_not_ready(system: System, outside, monkeypatch) -> None:
    monkeypatch.setattr(system.database.writer, "failing", True)
    response = await outside.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["reason"] == "nothing can be stored at the moment"


async def test_metrics_are_read_by_prometheus(outside) -> None:
    response = await outside.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    names = {family.name for family in text_string_to_metric_families(response.text)}
    assert {"csms_stations_connected", "csms_messages"} <= names


async def test_totals_count(system: System, api) -> None:
    await add_session(system, 1)
    totals = (await api.get("/api/v1/totals")).json()
    assert (totals["stations"], totals["sessions"], totals["sessions_open"]) == (1, 1, 1)


async def test_description_is_openapi_31_and_tells_of_every_route(outside) -> None:
    document = (await outside.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "CSMS"
    ids = set()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route["summary"] and route["description"] and route["tags"], (method, path)
            ids.add(route["operationId"])
    assert len(ids) == sum(len(methods) for methods in document["paths"].values())
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


async def test_description_names_the_key_and_the_form_of_errors(outside) -> None:
    document = (await outside.get("/api/openapi.json")).json()
    assert document["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"} | {
        "description": document["components"]["securitySchemes"]["key"]["description"]
    }
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            if path.startswith("/api/") and path != "/api/v1/login":
                assert route["security"] == [{"key": []}], (method, path)
                for status in ("401", "422", "503"):
                    assert list(route["responses"][status]["content"]) == ["application/problem+json"]
            else:
                assert "security" not in route
    assert "HTTPValidationError" not in json.dumps(document)


async def test_application_can_be_built_twice(system: System) -> None:
    """Nothing of one system lives in the module: two may run beside each other."""
    from csms.web.api import build_api

    built = build_api("9.9", {})
    built.state.services = system.api.state.services
    async with client(built) as other:
        assert (await other.get("/api/openapi.json")).json()["info"]["version"] == "9.9"
        assert_problem(await other.get("/api/v1/totals"), 401)


def _references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
