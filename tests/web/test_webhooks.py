"""Webhooks over HTTP: made, changed, tested, removed; their secrets and their scope."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from httpx import AsyncClient

from csms.app import System
from csms.bus.webhooks import Attempt
from csms.storage import admin
from tests.conftest import NOW
from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

URL = "https://receiver.example/events"


@pytest_asyncio.fixture(loop_scope="session")
async def acme(system: System, outside: AsyncClient) -> AsyncIterator[AsyncClient]:
    """Who may edit what belongs to the operator acme."""
    operator = await system.database.writer.run(admin.ensure_operator("acme"))
    put = admin.put_key("acme", "operator", system.vault.key_hash("csms_acme"), NOW, operator_id=operator)
    await system.database.writer.run(put)
    outside.headers["Authorization"] = "Bearer csms_acme"
    yield outside


async def test_secret_is_shown_once(api: AsyncClient) -> None:
    made = await api.post("/api/v1/webhooks", json={"url": URL, "types": ["session.*"], "description": "billing"})
    assert made.status_code == 201
    webhook = made.json()
    assert webhook["secret"].startswith("whsec_")
    again = (await api.get(f"/api/v1/webhooks/{webhook['id']}")).json()
    assert again == webhook | {"secret": None}
    assert again["delivery"]["circuit"] == "closed"
    renewed = (await api.post(f"/api/v1/webhooks/{webhook['id']}/secret")).json()
    assert renewed["secret"].startswith("whsec_") and renewed["secret"] != webhook["secret"]


async def test_secret_stands_nowhere(system: System, api: AsyncClient) -> None:
    secret = (await api.post("/api/v1/webhooks", json={"url": URL})).json()["secret"]
    async with system.database.reader.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT * FROM webhooks")).all()
    assert secret not in repr(rows) and secret[6:] not in repr(rows)


async def test_what_is_given_is_changed_and_the_rest_stays(api: AsyncClient) -> None:
    id = (await api.post("/api/v1/webhooks", json={"url": URL, "stations": ["CS-1"], "description": "x"})).json()["id"]
    changed = (await api.put(f"/api/v1/webhooks/{id}", json={"enabled": False, "description": None})).json()
    assert (changed["enabled"], changed["description"], changed["url"], changed["stations"]) == (
        False, None, URL, ["CS-1"],
    )  # fmt: skip
    assert (await api.delete(f"/api/v1/webhooks/{id}")).status_code == 204
    assert_problem(await api.get(f"/api/v1/webhooks/{id}"), 404)


async def test_wrong_urls_and_types_are_refused_with_advice(api: AsyncClient) -> None:
    for url in ("ftp://host/", "http://127.0.0.1/", "http://[::ffff:10.0.0.1]/", "https://user:pass@host/", "nonsense"):
        assert_problem(await api.post("/api/v1/webhooks", json={"url": url}), 422)
    assert_problem(await api.post("/api/v1/webhooks", json={"url": URL, "types": ["x"]}), 422, "session.opened")
    id = (await api.post("/api/v1/webhooks", json={"url": URL})).json()["id"]
    assert_problem(await api.put(f"/api/v1/webhooks/{id}", json={"url": "http://10.0.0.1/"}), 422, "OUTBOUND_ALLOWED")
    assert_problem(await api.put(f"/api/v1/webhooks/{id}", json={"typos": []}), 422)


async def test_listing_is_paged(api: AsyncClient) -> None:
    ids = [(await api.post("/api/v1/webhooks", json={"url": URL})).json()["id"] for _ in range(3)]
    first = (await api.get("/api/v1/webhooks?limit=2")).json()
    rest = (await api.get(f"/api/v1/webhooks?limit=2&cursor={first['next']}")).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == ids
    assert rest["next"] is None


async def test_foreign_webhooks_do_not_exist(api: AsyncClient, acme: AsyncClient) -> None:
    ours = (await acme.post("/api/v1/webhooks", json={"url": URL})).json()
    assert ours["operator"] == "acme"
    theirs = (await api.post("/api/v1/webhooks", json={"url": URL})).json()
    other = (await api.post("/api/v1/webhooks?operator=default", json={"url": URL})).json()
    assert (theirs["operator"], other["operator"]) == (None, "default")
    for id in (theirs["id"], other["id"]):
        path = f"/api/v1/webhooks/{id}"
        assert_problem(await acme.get(path), 404)
        assert_problem(await acme.put(path, json={}), 404)
        assert_problem(await acme.delete(path), 404)
        assert_problem(await acme.post(f"{path}/secret"), 404)
        assert_problem(await acme.post(f"{path}/test"), 404)
    assert [item["id"] for item in (await acme.get("/api/v1/webhooks")).json()["items"]] == [ours["id"]]
    assert_problem(await acme.post("/api/v1/webhooks?operator=default", json={"url": URL}), 404)


async def test_viewer_sees_them_and_changes_nothing(system: System, api: AsyncClient, acme: AsyncClient) -> None:
    id = (await acme.post("/api/v1/webhooks", json={"url": URL})).json()["id"]
    operator = await system.database.writer.run(admin.ensure_operator("acme"))
    put = admin.put_key("eyes", "viewer", system.vault.key_hash("csms_eyes"), NOW, operator_id=operator)
    await system.database.writer.run(put)
    acme.headers["Authorization"] = "Bearer csms_eyes"
    assert (await acme.get(f"/api/v1/webhooks/{id}")).status_code == 200
    assert_problem(await acme.delete(f"/api/v1/webhooks/{id}"), 403)


async def test_test_delivery_tells_what_the_receiver_said(
    system: System, api: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered(webhook: object) -> Attempt:
        return Attempt(503, "it answered 503", None, 0.25)

    monkeypatch.setattr(system.delivery, "test_webhook", answered)
    id = (await api.post("/api/v1/webhooks", json={"url": URL})).json()["id"]
    found = (await api.post(f"/api/v1/webhooks/{id}/test")).json()
    assert found == {"delivered": False, "status": 503, "error": "it answered 503", "milliseconds": 250}


async def test_there_are_not_more_than_may_be(api: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csms.web.webhooks.MOST", 1)
    assert (await api.post("/api/v1/webhooks", json={"url": URL})).status_code == 201
    assert_problem(await api.post("/api/v1/webhooks", json={"url": URL}), 409)
