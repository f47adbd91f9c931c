"""Resource `commands`: anything that may be asked, in the specification's own words."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio

from csms.ocpp.catalogue import Version
from tests.cluster.line import JoinedLine
from tests.web.conftest import assert_problem, connect

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATION = "/api/v1/stations/CS-1"
ACCEPTED = {"status": "Accepted"}


@pytest_asyncio.fixture(loop_scope="session")
async def station(system, api):
    await api.put(STATION, json={})

    async def connected(version: Version = Version.V16, reply=lambda call: ACCEPTED) -> JoinedLine:
        return await connect(system, "CS-1", JoinedLine(version, reply))

    return connected


async def test_payload_goes_out_as_given_and_the_outcome_comes_back(api, station) -> None:
    line = await station()
    payload = b'{"type" : "Hard"}'
    response = await api.post(f"{STATION}/commands/Reset", content=payload)
    assert response.status_code == 200
    told = response.json()
    assert (told["action"], told["status"], told["request"], told["response"]) == (
        "Reset", "answered", {"type": "Hard"}, ACCEPTED,
    )  # fmt: skip
    assert told["error"] is None and told["sent_at"] and told["settled_at"]
    assert bytes(line.asked[0].payload) == payload
    assert (await api.get(f"/api/v1/commands/{told['id']}")).json() == told


async def test_empty_body_is_an_empty_payload(api, station) -> None:
    line = await station()
    assert (await api.post(f"{STATION}/commands/ClearCache")).status_code == 200
    assert bytes(line.asked[0].payload) == b"{}"


async def test_id_of_ours_is_given_when_left_out(api, station) -> None:
    line = await station(Version.V201)
    body = {"expiryDateTime": "2030-01-01T00:00:00Z", "idToken": {"idToken": "T", "type": "Central"}}
    told = (await api.post(f"{STATION}/commands/ReserveNow", json=body)).json()
    sent = json.loads(bytes(line.asked[0].payload))
    assert sent == told["request"] == body | {"id": sent["id"]}
    assert sent["id"] > 0


@pytest.mark.parametrize(
    ("action", "body", "path"),
    [
        ("Reset", {"type": "Lukewarm"}, "type"),
        ("Reset", {}, "type"),
        ("Reset", {"type": "Hard", "extra": 1}, "payload"),
        ("ReserveNow", {"connectorId": "x", "expiryDate": "2030-01-01T00:00:00Z", "idTag": "T"}, "connectorId"),
        ("Reset", [1], "payload"),
        ("BootNotification", {}, "action"),
        ("SetVariables", {}, "action"),
        ("Nothing", {}, "action"),
    ],
)
async def test_what_the_schema_of_the_version_forbids_is_refused_with_its_place(api, station, action, body, path):
    line = await station()
    problem = assert_problem(await api.post(f"{STATION}/commands/{action}", json=body), 422)
    assert problem["path"] == path
    assert line.asked == []


async def test_body_that_is_no_json_is_refused(api, station) -> None:
    await station()
    assert_problem(await api.post(f"{STATION}/commands/Reset", content=b"{"), 422, "no JSON")


async def test_tester_may_send_anything(api, station) -> None:
    line = await station(reply=None)
    asking = await api.post(f"{STATION}/commands/Nonsense", content=b'{"a":1e0}', params={"validate": False, "wait": 0})
    assert (asking.status_code, asking.json()["status"]) == (202, "pending")
    assert asking.headers["location"] == f"/api/v1/commands/{asking.json()['id']}"
    call = await line.next_call()
    assert (call.action, bytes(call.payload)) == ("Nonsense", b'{"a":1e0}')
    line.answer(call, {"b": 2})


async def test_T82_unlocking_an_unknown_connector_is_for_the_station_to_refuse(api, station) -> None:
    await station(reply=lambda call: {"status": "NotSupported"})
    told = (await api.post(f"{STATION}/commands/UnlockConnector", json={"connectorId": 99})).json()
    assert (told["status"], told["response"]) == ("answered", {"status": "NotSupported"})


async def test_station_that_is_not_connected_is_a_conflict_with_the_record(api, station) -> None:
    response = await api.post(f"{STATION}/commands/Reset", json={"type": "Soft"})
    assert (response.status_code, response.json()["status"]) == (409, "offline")


async def test_unknown_station_is_404(api) -> None:
    assert_problem(await api.post("/api/v1/stations/NONE/commands/Reset", json={"type": "Soft"}), 404)


async def test_commands_are_listed_the_latest_first(api, station) -> None:
    await station()
    for action in ("ClearCache", "GetLocalListVersion"):
        await api.post(f"{STATION}/commands/{action}")
    listed = (await api.get("/api/v1/commands", params={"station_id": "CS-1"})).json()["items"]
    assert [each["action"] for each in listed] == ["GetLocalListVersion", "ClearCache"]
    narrowed = (await api.get("/api/v1/commands", params={"action": "ClearCache", "status": "answered"})).json()
    assert len(narrowed["items"]) == 1


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [("GetBaseReport", {"reportBase": "FullInventory"}, 409), ("Reset", {"type": "Soft"}, 409),
     ("Reset", {"type": "Immediate"}, 409), ("Reset", {"type": "Gently"}, 422), ("Fly", {}, 422)],
)  # fmt: skip
async def test_station_that_never_came_may_turn_out_to_speak_any_version(api, action, body, status) -> None:
    await api.put("/api/v1/stations/CS-NEW", json={})
    response = await api.post("/api/v1/stations/CS-NEW/commands/" + action, json=body, params={"wait": 0})
    assert response.status_code == status
    if status == 409:
        assert (response.json()["status"], response.json()["request"].items() >= body.items()) == ("offline", True)
