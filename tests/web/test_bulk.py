"""Resource `bulk-commands`: every station that matches is asked once, and what became of each is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import pytest_asyncio

from csms.domain.bulk import Asked
from csms.ocpp.catalogue import Version
from csms.storage import admin
from tests.cluster.line import JoinedLine
from tests.conftest import NOW
from tests.web.conftest import assert_problem, connect

pytestmark = pytest.mark.asyncio(loop_scope="session")

BULK = "/api/v1/bulk-commands"
ACCEPTED = {"status": "Accepted"}
FAST = {"rate": 1000, "all": True}


@pytest_asyncio.fixture(loop_scope="session")
async def lines(system, api):
    """Four stations: two of 1.6, one of 2.0.1, one that is away."""
    made = {}
    for name, version in (("A", Version.V16), ("B", Version.V16), ("C", Version.V201), ("D", None)):
        await api.put(f"/api/v1/stations/{name}", json={})
        if version is not None:
            made[name] = await connect(system, name, JoinedLine(version, lambda call: ACCEPTED))
    yield made
    await system.steering.bulk.close()


async def ended(api, id: int) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (told := (await api.get(f"{BULK}/{id}")).json())["status"] == "running":
            await asyncio.sleep(0.01)
    return told


async def states(api, id: int) -> dict[str, str]:
    items = (await api.get(f"{BULK}/{id}/items")).json()["items"]
    return {item["station_id"]: item["state"] for item in items}


async def test_a_verb_reaches_every_station_in_its_version(api, lines) -> None:
    response = await api.post(BULK, json={"verb": "reset", "payload": {"type": "hard"}, **FAST})
    assert response.status_code == 201, response.text
    begun = response.json()
    assert response.headers["location"] == f"{BULK}/{begun['id']}"
    assert (begun["stations"], begun["verb"], begun["action"], begun["created_by"]) == (4, "reset", None, "owner")
    told = await ended(api, begun["id"])
    assert (told["status"], told["progress"]) == ("done", {"answered": 3, "offline": 1})
    assert await states(api, begun["id"]) == {"A": "answered", "B": "answered", "C": "answered", "D": "offline"}
    sent = {name: json.loads(bytes(line.asked[0].payload)) for name, line in lines.items()}
    assert sent == {"A": {"type": "Hard"}, "B": {"type": "Hard"}, "C": {"type": "Immediate"}}
    (item,) = (await api.get(f"{BULK}/{begun['id']}/items", params={"limit": 1})).json()["items"]
    command = (await api.get(f"/api/v1/commands/{item['command_id']}")).json()
    assert (command["station"], command["response"]) == ("A", item["response"])


async def test_an_action_is_for_those_who_speak_its_version_and_the_others_are_told_why_not(api, lines) -> None:
    ask = {"action": "GetConfiguration", "payload": {"key": ["X"]}, **FAST}
    for line in lines.values():
        line._reply = lambda call: {"unknownKey": ["X"]}
    told = await ended(api, (await api.post(BULK, json=ask)).json()["id"])
    assert told["progress"] == {"answered": 2, "offline": 1, "refused": 1}
    (refused,) = (await api.get(f"{BULK}/{told['id']}/items", params={"state": "refused"})).json()["items"]
    assert refused["station_id"] == "C" and "in OCPP 2.0.1" in refused["problem"]
    assert lines["C"].asked == []


async def test_filter_chooses(api, lines) -> None:
    ask = {"verb": "clear-cache", "filter": {"station_ids": ["B", "C", "NOBODY"]}, "rate": 1000}
    told = await ended(api, (await api.post(BULK, json=ask)).json()["id"])
    assert await states(api, told["id"]) == {"B": "answered", "C": "answered"}
    nobody = {"verb": "clear-cache", "filter": {"vendor": "None such"}}
    told = await ended(api, (await api.post(BULK, json=nobody)).json()["id"])
    assert (told["stations"], told["progress"]) == (0, {})


async def test_cancelled_bulk_asks_nobody_else(api, lines) -> None:
    for line in lines.values():
        line._reply = None
    ask = {"verb": "clear-cache", "filter": {"station_ids": ["A", "B", "C"]}, "concurrency": 1, "rate": 1000}
    id = (await api.post(BULK, json=ask)).json()["id"]
    call = await lines["A"].next_call()
    told = (await api.post(f"{BULK}/{id}/cancel")).json()
    assert (told["status"], told["progress"]) == ("cancelled", {"pending": 1, "cancelled": 2})
    lines["A"].answer(call, ACCEPTED)
    async with asyncio.timeout(5):
        while (await states(api, id))["A"] != "answered":
            await asyncio.sleep(0.01)
    assert lines["B"].asked == lines["C"].asked == []
    assert_problem(await api.post(f"{BULK}/{id}/cancel"), 409, "ended already")


async def test_station_that_comes_in_time_is_asked(api, system, lines) -> None:
    ask = {"verb": "clear-cache", "filter": {"station_ids": ["D"]}, "queue": 60}
    id = (await api.post(BULK, json=ask)).json()["id"]
    assert await states(api, id) == {"D": "waiting"}
    await connect(system, "D", JoinedLine(Version.V16, lambda call: ACCEPTED))
    await system.database.writer.run(
        lambda connection: connection.exec_driver_sql("UPDATE stations SET connected_at = 1 WHERE identity = 'D'")
    )
    assert (await ended(api, id))["progress"] == {"answered": 1}


async def test_no_more_than_asked_for_are_under_way(api, lines) -> None:
    for line in lines.values():
        line._reply = None
    ask = {"verb": "clear-cache", "filter": {"station_ids": ["A", "B", "C"]}, "concurrency": 2, "rate": 1000}
    id = (await api.post(BULK, json=ask)).json()["id"]
    first = [await lines["A"].next_call(), await lines["B"].next_call()]
    await asyncio.sleep(0.05)
    assert lines["C"].asked == []
    lines["A"].answer(first[0], ACCEPTED)
    lines["C"].answer(await lines["C"].next_call(), ACCEPTED)
    lines["B"].answer(first[1], ACCEPTED)
    assert (await ended(api, id))["progress"] == {"answered": 3}


async def test_two_who_carry_it_out_ask_each_station_once(api, system, lines) -> None:
    """As after a restart beside another node: the record of a command and the claim of its station are one."""
    for line in lines.values():
        line._reply = None
    ask = {"verb": "clear-cache", "filter": {"station_ids": ["A", "B", "C"]}, "rate": 1000}
    id = (await api.post(BULK, json=ask)).json()["id"]
    mine = system.steering.bulk._tasks[id]
    asked = Asked(verb="clear-cache", payload={}, concurrency=3, rate=1000, until=NOW)
    system.steering.bulk.begin(id, asked)
    for line in lines.values():
        line.answer(await line.next_call(), ACCEPTED)
    assert (await ended(api, id))["progress"] == {"answered": 3}
    await asyncio.wait({mine})
    assert [len(line.asked) for line in lines.values()] == [1, 1, 1]
    assert len((await api.get("/api/v1/commands")).json()["items"]) == 3


async def test_of_several_nodes_the_leading_one_carries_out_what_the_others_take(
    api, system, lines, monkeypatch
) -> None:
    """One begins with them, at the pace that was asked for; whoever took the request does not."""
    monkeypatch.setattr("csms.cluster.bulk._LOOK_EVERY", 0.01)
    bulk = system.steering.bulk
    monkeypatch.setattr(bulk, "leads", lambda: False)
    ask = {"verb": "clear-cache", "filter": {"station_ids": ["A", "B", "C"]}, "rate": 1000}
    id = (await api.post(BULK, json=ask)).json()["id"]
    await asyncio.sleep(0.05)
    assert (await api.get(f"{BULK}/{id}")).json()["progress"] == {"waiting": 3}
    await system.database.writer.run(
        lambda connection: connection.exec_driver_sql("UPDATE stations SET connected_at = 1 WHERE identity <> 'D'")
    )
    leading = asyncio.create_task(bulk.run())
    assert (await ended(api, id))["progress"] == {"answered": 3}
    leading.cancel()
    await asyncio.wait({leading})


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ({"verb": "reset"}, "say `all`"),
        ({"verb": "reset", "all": True, "filter": {"online": True}}, "say `all`"),
        ({"verb": "reset", "filter": {}}, "say `all`"),
        ({"all": True}, "either"),
        ({"verb": "reset", "action": "Reset", "all": True}, "either"),
        ({"verb": "levitate", "all": True}, "no verb"),
        ({"verb": "reset", "payload": {"type": "lukewarm"}, "all": True}, "no words of reset"),
        ({"verb": "reset", "payload": {"kind": "hard"}, "all": True}, "no words of reset"),
        ({"action": "BootNotification", "all": True}, "asks no"),
    ],
)
async def test_what_nobody_can_be_asked_is_refused_at_once(api, lines, ask, words) -> None:
    assert_problem(await api.post(BULK, json=ask), 422, words)
    assert (await api.get(BULK)).json()["items"] == []


@pytest.mark.parametrize(
    "ask",
    [
        {"action": "ChangeConfiguration", "payload": {"key": "authorizationKey", "value": "a-secret"}},
        {"action": "SetVariables", "payload": {"setVariableData": [
            {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"},
             "attributeValue": "a-secret"}]}},
        {"verb": "configuration", "payload": {"values": {"AuthorizationKey": "a-secret"}}},
        {"verb": "variables", "payload": {"variables": [
            {"component": "SecurityCtrlr", "variable": "BasicAuthPassword", "value": "a-secret"}]}},
    ],
)  # fmt: skip
async def test_one_password_for_many_stations_is_refused(api, lines, ask) -> None:
    assert_problem(await api.post(BULK, json={**ask, **FAST}), 422, "password of its own")
    assert (await api.get(BULK)).json()["items"] == []


async def test_credentials_within_an_address_are_sent_and_never_shown(api, lines) -> None:
    ask = {"verb": "firmware", "payload": {"location": "ftp://ann:pw@example.org/fw"}, **FAST}
    id = (await api.post(BULK, json=ask)).json()["id"]
    told = await ended(api, id)
    assert told["payload"] == {"location": "ftp://ann:********@example.org/fw"}
    assert json.loads(bytes(lines["A"].asked[0].payload))["location"] == "ftp://ann:pw@example.org/fw"


async def test_other_operators_see_nothing(api, outside, system, lines) -> None:
    id = (await api.post(BULK, json={"verb": "clear-cache", **FAST})).json()["id"]
    await ended(api, id)
    north = await system.database.writer.run(admin.ensure_operator("north"))
    kept = system.vault.key_hash("csms_north")
    await system.database.writer.run(admin.put_key("north", "operator", kept, NOW, north))
    headers = {"Authorization": "Bearer csms_north"}
    for method, path in (("GET", ""), ("GET", "/items"), ("POST", "/cancel")):
        assert_problem(await outside.request(method, f"{BULK}/{id}{path}", headers=headers), 404)
    assert (await outside.get(BULK, headers=headers)).json()["items"] == []
    assert (await outside.post(BULK, json={"verb": "reset", **FAST}, headers=headers)).json()["stations"] == 0
