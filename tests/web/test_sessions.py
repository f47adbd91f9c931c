"""Resource `sessions`: shown, and started and stopped from afar."""

from __future__ import annotations

import json

import pytest

from csms.app import System
from csms.domain.sessions import Reading, Sample
from csms.domain.stations import Station
from csms.domain.unit import Metered, Unit
from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.peer import MAX_QUEUED
from tests.cluster.line import JoinedLine
from tests.conftest import NOW
from tests.web.conftest import add_session, assert_problem, connect

pytestmark = pytest.mark.asyncio(loop_scope="session")

SESSIONS = "/api/v1/sessions"


def accepted(call):
    return {"status": "Accepted"}


@pytest.fixture
def ask(api):
    async def ask(token: str = "TAG", station: str = "CS-1", **body):
        return await api.post(SESSIONS, json={"station_id": station, "token": token} | body)

    return ask


async def add(api, identity: str = "CS-1", **token) -> None:
    await api.put(f"/api/v1/stations/{identity}", json={"password": None})
    await api.put("/api/v1/tokens/TAG", json=token)


def payload_of(line: JoinedLine, index: int = 0):
    """What the station was asked, after the official schema found nothing wrong with it."""
    call = line.asked[index]
    payload = json.loads(bytes(call.payload))
    assert schemas.violation(actions(line.version)[call.action], payload) is None
    return call.action, payload


# Showing


async def test_sessions_are_shown_newest_first_page_by_page(system: System, api) -> None:
    for id in (1, 2, 3):
        await add_session(system, id)
    first = (await api.get(SESSIONS, params={"limit": 2})).json()
    await add_session(system, 4)
    second = (await api.get(SESSIONS, params={"limit": 2, "cursor": first["next"]})).json()
    assert [item["id"] for item in first["items"] + second["items"]] == [3, 2, 1]
    assert second["next"] is None


async def test_sessions_are_filtered(system: System, api) -> None:
    await add_session(system, 1, token="TAG")
    await add_session(system, 2, "CS-2", ended_at=NOW, phase="ended")

    async def ids(**params):
        return [item["id"] for item in (await api.get(SESSIONS, params=params)).json()["items"]]

    assert await ids(status="active") == [1]
    assert await ids(status="closed") == [2]
    assert await ids(token="TAG") == [1]
    assert await ids(station_id="CS-2") == [2]
    assert await ids(operator="north") == []


async def test_session_is_shown_with_its_readings(system: System, api) -> None:
    await add_session(system, 1, flags=("estimated",))
    unit = Unit(Station(1, 1, "default", "CS-1"), NOW)
    unit.metered.append(Metered(1, 1, 1, [Reading(NOW, (Sample("10"),), register_wh=10.0)]))
    await system.database.writer.commit(unit)
    shown = (await api.get(f"{SESSIONS}/1")).json()
    assert (shown["station_id"], shown["status"], shown["flags"]) == ("CS-1", "active", ["estimated"])
    page = (await api.get(f"{SESSIONS}/1/samples")).json()
    assert [(item["register_wh"], item["readings"][0]["value"]) for item in page["items"]] == [(10.0, "10")]


async def test_unknown_session_is_404(api) -> None:
    for path in ("/7", "/7/samples"):
        assert_problem(await api.get(SESSIONS + path), 404, "no session 7")
    assert_problem(await api.post(f"{SESSIONS}/7/stop"), 404, "no session 7")
    assert_problem(await api.get("/api/v1/commands/7"), 404, "no command 7")


# Start


@pytest.mark.parametrize(
    ("version", "action", "expected"),
    [
        (Version.V16, "RemoteStartTransaction", {"idTag": "TAG", "connectorId": 2}),
        (Version.V201, "RequestStartTransaction", {"idToken": {"idToken": "TAG", "type": "ISO14443"}, "evseId": 2}),
    ],
)
async def test_start_is_asked_in_the_words_of_the_version(system, api, ask, version, action, expected) -> None:
    await add(api)
    line = await connect(system, "CS-1", JoinedLine(version, accepted))
    response = await ask(evse_id=2)
    assert response.status_code == 200
    outcome = response.json()
    assert (outcome["status"], outcome["accepted"], outcome["action"]) == ("answered", True, action)
    sent, payload = payload_of(line)
    assert sent == action
    assert expected.items() <= payload.items()
    assert (await api.get(f"/api/v1/commands/{outcome['id']}")).json() == outcome


@pytest.mark.parametrize("version", [Version.V16, Version.V201])
async def test_without_evse_the_station_chooses(system, api, ask, version) -> None:
    await add(api)
    line = await connect(system, "CS-1", JoinedLine(version, accepted))
    await ask()
    _, payload = payload_of(line)
    assert "connectorId" not in payload and "evseId" not in payload


async def test_token_is_sent_as_it_is_known(system, api, ask) -> None:
    await add(api, type="KeyCode")
    line = await connect(system, "CS-1", JoinedLine(reply=accepted))
    await ask("tag")
    assert payload_of(line)[1]["idToken"] == {"idToken": "TAG", "type": "KeyCode"}


async def test_refusal_of_the_station_is_an_outcome(system, api, ask) -> None:
    await add(api)
    await connect(system, "CS-1", JoinedLine(reply=lambda call: {"status": "Rejected"}))
    response = await ask()
    assert (response.status_code, response.json()["accepted"]) == (200, False)


async def test_error_of_the_station_is_an_outcome(system, api, ask) -> None:
    await add(api)
    await connect(system, "CS-1", JoinedLine(reply=lambda call: ["Perhaps"]))
    outcome = (await ask()).json()
    assert (outcome["status"], outcome["accepted"], outcome["error"]["code"]) == ("error", None, "FormatViolation")


async def test_offline_station_is_409_with_the_recorded_command(api, ask) -> None:
    await add(api)
    response = await ask()
    assert (response.status_code, response.json()["status"]) == (409, "offline")
    assert (await api.get(f"/api/v1/commands/{response.json()['id']}")).json() == response.json()


async def test_busy_station_is_409_too(system, api, ask) -> None:
    await add(api)
    line = await connect(system, "CS-1", JoinedLine())
    for _ in range(1 + MAX_QUEUED):
        line.occupy()
    assert (await ask()).status_code == 409


async def test_unknown_station_is_404(api, ask) -> None:
    await add(api)
    assert_problem(await ask(station="CS-9"), 404, "'CS-9'", "PUT")
    assert_problem(await ask(operator="north"), 404, "'north'")


async def test_unknown_token_is_422_with_the_way_to_add_it(api, ask) -> None:
    await add(api)
    assert_problem(await ask("NOBODY"), 422, "'NOBODY' is unknown", "csms token add NOBODY")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"status": "blocked"}, "blocked"), ({"status": "invalid"}, "invalid"), ({"status": "expired"}, "expired"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expired"),
    ],
)  # fmt: skip
async def test_T32_token_that_would_be_refused_is_not_sent(system, api, ask, change, verdict) -> None:
    await add(api, **change)
    line = await connect(system, "CS-1", JoinedLine(reply=accepted))
    assert_problem(await ask(), 422, f"is {verdict}")
    assert line.asked == []


@pytest.mark.parametrize("registration", ["pending", "rejected"])
async def test_station_whose_boot_was_not_accepted_is_not_asked(system, api, ask, registration) -> None:
    await add(api)
    line = await connect(system, "CS-1", JoinedLine(reply=accepted))
    change = f"UPDATE stations SET registration = '{registration}'"
    await system.database.writer.run(lambda connection: connection.exec_driver_sql(change) and None)
    assert_problem(await ask(), 409, registration)
    assert line.asked == []


@pytest.mark.parametrize(
    ("version", "token", "kind", "words"),
    [
        (Version.V16, "x" * 21, None, "idTag"), (Version.V201, "x" * 37, None, "idToken.idToken"),
        (Version.V201, "TAG-2", "Invented", "idToken.type"),
    ],
)  # fmt: skip
async def test_what_the_version_cannot_say_is_not_sent(system, api, ask, version, token, kind, words) -> None:
    await add(api)
    await api.put(f"/api/v1/tokens/{token}", json={"type": kind})
    line = await connect(system, "CS-1", JoinedLine(version, accepted))
    assert_problem(await ask(token), 422, words, version.value)
    assert line.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {}, {"station_id": "CS-1"}, {"station_id": "CS-1", "token": "TAG", "evse_id": 0},
        {"station_id": "CS-1", "token": "TAG", "evse_id": 1 << 31}, {"station_id": "CS-1", "token": "TAG", "evse_id": 10**30},
        {"station_id": "CS-1", "token": "TAG", "connector": 1}, {"station_id": 1, "token": "TAG"},
    ],
)  # fmt: skip
async def test_wrong_start_is_refused(api, body) -> None:
    await add(api)
    assert_problem(await api.post(SESSIONS, json=body), 422, "body")


async def test_wait_is_bounded(api) -> None:
    for wait in ("0", "301", "nan", "inf", "-1", "x"):
        assert_problem(await api.post(SESSIONS, params={"wait": wait}, json={}), 422, "query.wait")


# Stop


@pytest.mark.parametrize(
    ("version", "action", "expected"),
    [
        (Version.V16, "RemoteStopTransaction", {"transactionId": 5}),
        (Version.V201, "RequestStopTransaction", {"transactionId": "tx-5"}),
    ],
)
async def test_stop_names_the_transaction_as_the_station_does(system, api, version, action, expected) -> None:
    await add_session(system, 5, transaction_id=str(expected["transactionId"]), version=version.value)
    line = await connect(system, "CS-1", JoinedLine(version, accepted))
    response = await api.post(f"{SESSIONS}/5/stop")
    assert (response.status_code, response.json()["accepted"]) == (200, True)
    assert payload_of(line) == (action, expected)
    assert (await api.get(f"{SESSIONS}/5")).json()["status"] == "active"  # Until the station says so.


async def test_session_that_has_ended_is_not_stopped_again(system, api) -> None:
    await add_session(system, 5, ended_at=NOW, phase="ended")
    line = await connect(system, "CS-1", JoinedLine(reply=accepted))
    assert_problem(await api.post(f"{SESSIONS}/5/stop"), 409, "ended already")
    assert line.asked == []


async def test_session_of_another_version_cannot_be_named_in_16(system, api) -> None:
    await add_session(system, 5, transaction_id="tx-5", version="2.0.1")
    await connect(system, "CS-1", JoinedLine(Version.V16, accepted))
    assert_problem(await api.post(f"{SESSIONS}/5/stop"), 409, "another OCPP version")


async def test_stop_of_an_offline_station_is_409_with_the_command(system, api) -> None:
    await add_session(system, 5, version="2.0.1")
    await system.database.writer.run(
        lambda connection: connection.exec_driver_sql("UPDATE stations SET version = '2.0.1'") and None
    )
    response = await api.post(f"{SESSIONS}/5/stop")
    assert (response.status_code, response.json()["status"]) == (409, "offline")
    assert response.json()["action"] == "RequestStopTransaction"


async def test_stuck_session_is_closed_by_hand(system, api) -> None:
    await add_session(system, 5)
    closed = await api.post(f"{SESSIONS}/5/close")
    assert closed.status_code == 200, closed.text
    assert (closed.json()["status"], closed.json()["flags"]) == ("closed", ["closed_by_hand"])
    assert_problem(await api.post(f"{SESSIONS}/5/close"), 409, "ended already")
    assert_problem(await api.post(f"{SESSIONS}/6/close"), 404)
    listed = (await api.get(SESSIONS, params={"flag": "closed_by_hand"})).json()["items"]
    assert [item["id"] for item in listed] == [5]
