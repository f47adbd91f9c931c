"""Events over HTTP: who may follow which, and what is refused before the stream begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from httpx import AsyncClient

from csms.app import System
from csms.domain.events import StationDisconnected
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.storage import admin
from tests.conftest import NOW
from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def serving(system: System) -> AsyncIterator[System]:
    system.delivery.stream.start()
    yield system
    await system.delivery.stream.stop()


async def tell(system: System, operator: str, reason: str) -> None:
    unit = Unit(Station(1, 1, operator, f"CS-{operator}"), NOW)
    unit.events.append(StationDisconnected(at=NOW, reason=reason))
    await system.database.writer.commit(unit)


async def ending_soon(system: System, http: AsyncClient, path: str, **options: object) -> httpx.Response:
    """The whole stream up to the server's end (this transport hands a response out only when it is complete)."""
    asked = asyncio.create_task(http.get(path, **options))
    async with asyncio.timeout(5):
        while not system.delivery.stream._channels and not asked.done():
            await asyncio.sleep(0.001)
    await system.delivery.stream.stop()
    return await asked


async def test_stream_is_what_event_sources_read(serving: System, api: AsyncClient) -> None:
    await tell(serving, "default", "power")
    response = await ending_soon(serving, api, "/api/v1/events", params={"after": "0"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert "event: station.disconnected\ndata: {" in response.text


async def test_browsers_word_for_the_last_event_goes_first(serving: System, api: AsyncClient) -> None:
    await tell(serving, "default", "first")
    await tell(serving, "default", "second")
    _, newest = await serving.outbox.bounds()
    response = await ending_soon(
        serving, api, "/api/v1/events", params={"after": "0"}, headers={"Last-Event-ID": f"{newest - 1}-0"}
    )
    assert "second" in response.text and "first" not in response.text


async def test_key_of_an_operator_gets_the_events_of_that_operator_only(serving: System, outside: AsyncClient) -> None:
    operator = await serving.database.writer.run(admin.ensure_operator("acme"))
    put = admin.put_key("acme", "viewer", serving.vault.key_hash("csms_acme"), NOW, operator_id=operator)
    await serving.database.writer.run(put)
    headers = {"Authorization": "Bearer csms_acme"}
    await tell(serving, "default", "theirs")
    await tell(serving, "acme", "ours")
    assert_problem(await outside.get("/api/v1/events?operator=default", headers=headers), 404, "default")
    response = await ending_soon(serving, outside, "/api/v1/events?after=0", headers=headers)
    assert "ours" in response.text and "theirs" not in response.text


async def test_without_a_key_nothing_is_told(serving: System, outside: AsyncClient) -> None:
    assert_problem(await outside.get("/api/v1/events"), 401)


async def test_wrong_filters_and_places_are_refused_with_advice(serving: System, api: AsyncClient) -> None:
    assert_problem(await api.get("/api/v1/events?type=session.open"), 422, "session.opened", "session.*")
    assert_problem(await api.get("/api/v1/events?after=yesterday"), 422, "yesterday", "event_id")
    assert_problem(await api.get("/api/v1/events", headers={"Last-Event-ID": "x"}), 422)
    assert_problem(await api.get("/api/v1/events", params={"station_id": ["x"] * 101}), 422)


async def test_where_no_server_runs_there_is_nothing_to_follow(system: System, api: AsyncClient) -> None:
    assert_problem(await api.get("/api/v1/events"), 503, "csms serve")
