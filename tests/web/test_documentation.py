"""The page that shows the API: whole without the network, and strict about what may run."""

from __future__ import annotations

import re

import pytest
from httpx import AsyncClient

from csms.app import release
from csms.web.documentation import POLICY
from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_page_loads_all_it_needs_from_here(outside: AsyncClient) -> None:
    page = await outside.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 3
    for link in links:
        assert "//" not in link
        asset = await outside.get(f"/api/{link}")
        assert asset.status_code == 200 and asset.content
        assert asset.headers["content-security-policy"] == POLICY
    assert 'url: "openapi.json"' in (await outside.get("/api/docs/start.js")).text


async def test_policy_lets_nothing_inline_or_foreign_run(outside: AsyncClient) -> None:
    page = await outside.get("/api/docs")
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy and "http" not in policy and "default-src 'none'" in policy
    assert not re.search(r"<script>|<style| style=| on\w+=", page.text)
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_there_are_no_other_files(outside: AsyncClient) -> None:
    assert_problem(await outside.get("/api/docs/redoc.standalone.js"), 404)
    assert (await outside.get("/api/docs/..%2f..%2fpyproject.toml")).status_code == 404


async def test_description_of_events_is_served(outside: AsyncClient) -> None:
    found = (await outside.get("/api/asyncapi.json")).json()
    assert found["asyncapi"] == "3.0.0"
    assert found["info"]["version"] == release()
    assert {"events", "states", "stream", "webhooks"} == found["channels"].keys()
