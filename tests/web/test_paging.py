"""Listings as the API answers them: the shape, the order, the count."""

from __future__ import annotations

import pytest

from csms.storage import paging
from tests.web.conftest import add_session, assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

_OF_THEIR_OWN = ("/messages", "/webhooks", "certificates")  # From memory; a hundred at most.


async def test_count_comes_when_it_is_asked_for_and_says_where_it_ends(system, api, monkeypatch) -> None:
    for id in (1, 2, 3):
        await add_session(system, id)
    page = (await api.get("/api/v1/sessions", params={"limit": 1})).json()
    assert set(page) == {"items", "next"}
    page = (await api.get("/api/v1/sessions", params={"limit": 1, "total": "true"})).json()
    assert (len(page["items"]), page["total"], page["total_capped"]) == (1, 3, False)
    for module in (paging, __import__("csms.web.paging", fromlist=["x"])):
        monkeypatch.setattr(module, "MOST_COUNTED", 2)
    page = (await api.get("/api/v1/sessions", params={"limit": 1, "total": "true"})).json()
    assert (page["total"], page["total_capped"]) == (2, True)


async def test_order_is_chosen_from_those_there_are(system, api) -> None:
    for id in (1, 2):
        await add_session(system, id)
    oldest = (await api.get("/api/v1/sessions", params={"sort": "started_at"})).json()["items"]
    assert [item["id"] for item in oldest] == [1, 2]
    assert_problem(await api.get("/api/v1/sessions", params={"sort": "energy"}), 422, "-started_at")
    first = (await api.get("/api/v1/sessions", params={"sort": "id", "limit": 1})).json()
    mixed = await api.get("/api/v1/sessions", params={"sort": "-id", "cursor": first["next"]})
    assert_problem(mixed, 422, "leave it away")


async def test_every_listing_is_described_with_its_orders(system) -> None:
    described = system.api.openapi()["paths"]
    listings = 0
    for path, methods in described.items():
        names = {each["name"]: each for each in methods.get("get", {}).get("parameters", ())}
        if "cursor" in names and not path.endswith(_OF_THEIR_OWN):
            listings += 1
            assert names["sort"]["schema"]["enum"], path
            assert {"limit", "total"} <= names.keys(), path
    assert listings >= 20
