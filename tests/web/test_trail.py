"""The message trail over HTTP: by station, by session, traced for a while."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient

from csms.app import System, now_utc
from csms.ocpp import frames
from csms.ocpp.catalogue import Version
from csms.storage import admin
from tests.conftest import NOW
from tests.web.conftest import add_session, assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
def nothing_said_yet(system: System) -> None:
    system.gateway.trail._ring.entries.clear()


async def station_number(system: System, identity: str = "CS-1") -> int:
    operator = await system.database.writer.run(admin.ensure_operator("default"))
    await system.database.writer.run(admin.put_station(operator, identity, {}, NOW))
    async with system.database.reader.connect() as connection:
        found = await connection.exec_driver_sql("SELECT id FROM stations WHERE identity = ?", (identity,))
        return found.scalar_one()


def took(system: System, station: int, action: str, answer: Any, id: str = "1", **payload: Any) -> None:
    call = frames.parse(json.dumps([2, id, action, payload]).encode(), Version.V16)
    system.gateway.trail.took(station, NOW, call, json.dumps(answer).encode())


async def test_messages_of_a_station_are_paged_latest_first(system: System, api: AsyncClient) -> None:
    number = await station_number(system)
    for id in "abc":
        took(system, number, "StatusNotification", [3, id, {}], id)
    first = (await api.get("/api/v1/stations/CS-1/messages?limit=2")).json()
    rest = (await api.get(f"/api/v1/stations/CS-1/messages?limit=2&cursor={first['next']}")).json()
    assert [item["message_id"] for item in first["items"] + rest["items"]][:3] == ["c", "b", "a"]
    assert first["items"][0] == {
        "at": "2026-05-04T12:00:00Z", "direction": "from_station", "action": "StatusNotification", "message_id": "c",
        "outcome": "answered", "frame": [2, "c", "StatusNotification", {}], "answer": [3, "c", {}], "reason": None,
        "answered_at": first["items"][0]["answered_at"],
    }  # fmt: skip
    assert_problem(await api.get("/api/v1/stations/CS-1/messages?cursor=x"), 422, "cursor")
    assert_problem(await api.get("/api/v1/stations/nowhere/messages"), 404)


async def test_messages_are_narrowed_by_action_and_secrets_are_masked(system: System, api: AsyncClient) -> None:
    number = await station_number(system, "CS-2")
    took(system, number, "Authorize", [3, "1", {}], idTag="04A2B3C4")
    took(system, number, "StatusNotification", [3, "2", {}], "2")
    [found] = (await api.get("/api/v1/stations/CS-2/messages?action=Authorize")).json()["items"]
    assert found["frame"][3] == {"idTag": "04…C4"}


async def test_station_that_got_the_number_of_a_removed_one_does_not_get_its_messages(
    system: System, api: AsyncClient
) -> None:
    number = await station_number(system, "CS-9")
    call = frames.Call("1", "BootNotification", msgspec.Raw(b"{}"))
    system.gateway.trail.took(number, NOW - timedelta(seconds=1), call, b"")
    assert (await api.get("/api/v1/stations/CS-9/messages")).json()["items"] == []


async def test_messages_of_a_session_are_those_that_name_its_transaction(system: System, api: AsyncClient) -> None:
    await add_session(system, 71, identity="CS-3", transaction_id="5")
    number = await station_number(system, "CS-3")
    took(system, number, "StartTransaction", [3, "1", {"transactionId": 5}], connectorId=1)
    took(system, number, "StatusNotification", [3, "2", {}], "2")
    took(system, number, "MeterValues", [3, "3", {}], "3", transactionId=6)
    took(system, number, "TransactionEvent", [3, "4", {}], "4", transactionInfo={"transactionId": "5"})
    found = (await api.get("/api/v1/sessions/71/messages")).json()["items"]
    assert [item["action"] for item in found] == ["TransactionEvent", "StartTransaction"]
    assert_problem(await api.get("/api/v1/sessions/72/messages"), 404)


async def test_station_is_traced_until_a_time_or_until_it_is_ended(system: System, api: AsyncClient) -> None:
    number = await station_number(system, "CS-5")
    now = now_utc()
    assert (await api.get("/api/v1/stations/CS-5/trace")).json() == {"until": None}
    until = (now + timedelta(hours=1)).isoformat()
    assert (await api.put("/api/v1/stations/CS-5/trace", json={"until": until})).status_code == 200
    assert (await api.get("/api/v1/stations/CS-5/trace")).json()["until"] is not None
    took(system, number, "Heartbeat", [3, "1", {}])
    assert (await api.delete("/api/v1/stations/CS-5/trace")).status_code == 204
    assert (await api.get("/api/v1/stations/CS-5/trace")).json() == {"until": None}
    [found] = (await api.get("/api/v1/stations/CS-5/messages")).json()["items"]
    assert found["action"] == "Heartbeat"
    for wrong in (now - timedelta(hours=1), now + timedelta(days=8)):
        assert_problem(await api.put("/api/v1/stations/CS-5/trace", json={"until": wrong.isoformat()}), 422)
