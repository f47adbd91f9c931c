"""Verbs over the API: what a station is asked in neutral words, and how that is answered."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio

from csms.ocpp.catalogue import Version
from tests.cluster.line import JoinedLine
from tests.web.conftest import assert_problem, connect

pytestmark = pytest.mark.asyncio(loop_scope="session")

API = "/api/v1"
RESERVATION = {"token": "TAG", "expires_at": "2099-01-01T00:00:00Z", "evse_id": 1}
PROFILE = {"purpose": "tx_default", "periods": [{"start": 0, "limit": 6.0}], "evse_id": 1}


@pytest_asyncio.fixture(loop_scope="session")
async def line(system, api) -> JoinedLine:
    await api.put(f"{API}/stations/CS-1", json={})
    return await connect(system, "CS-1", JoinedLine(Version.V201, lambda call: {"status": "Accepted"}))


async def test_reservation_is_made_and_cancelled_as_a_resource(api, line) -> None:
    made = await api.post(f"{API}/reservations", json={"station_id": "CS-1", **RESERVATION})
    assert (made.status_code, made.json()["accepted"]) == (200, True)
    (found,) = (await api.get(f"{API}/reservations")).json()["items"]
    assert (found["status"], found["reservation_id"]) == ("accepted", made.json()["request"]["id"])
    gone = await api.delete(f"{API}/reservations/{found['id']}")
    assert gone.json()["request"] == {"reservationId": found["reservation_id"]}
    (found,) = (await api.get(f"{API}/reservations")).json()["items"]
    assert found["status"] == "cancelled"
    assert_problem(await api.delete(f"{API}/reservations/99999"), 404)


async def test_T78_second_profile_of_a_kind_is_a_conflict_that_says_what_to_do(api, line) -> None:
    made = await api.post(f"{API}/charging-profiles", json={"station_id": "CS-1", **PROFILE})
    number = made.json()["request"]["chargingProfile"]["id"]
    again = await api.post(f"{API}/stations/CS-1/charging-profiles", json=PROFILE)
    assert_problem(again, 409, f"Profile {number}", "stack_level")
    replaced = await api.post(f"{API}/stations/CS-1/charging-profiles", json={**PROFILE, "profile_id": number})
    assert replaced.json()["accepted"] is True
    assert len((await api.get(f"{API}/charging-profiles")).json()["items"]) == 1


async def test_profile_is_read_and_taken_away_as_a_resource(api, line) -> None:
    made = await api.post(f"{API}/stations/CS-1/charging-profiles", json={**PROFILE, "profile_id": 4711})
    assert made.json()["accepted"] is True
    where = f"{API}/stations/CS-1/charging-profiles/4711"
    found = (await api.get(where)).json()
    assert (found["station_id"], found["purpose"], found["profile"]["id"]) == ("CS-1", "TxDefaultProfile", 4711)
    gone = await api.delete(where)
    assert (gone.status_code, gone.json()["action"]) == (200, "ClearChargingProfile")
    assert json.loads(bytes(line.asked[-1].payload)) == {"chargingProfileId": 4711}
    assert_problem(await api.get(where), 404, "4711", "CS-1")
    asked = len(line.asked)
    assert_problem(await api.delete(where), 404)
    assert_problem(await api.get(f"{API}/stations/CS-1/charging-profiles/{2**70}"), 404)
    assert len(line.asked) == asked, "nothing is sent for what is not there"


async def test_local_list_is_read_replaced_and_emptied_as_a_resource(api, line) -> None:
    where = f"{API}/stations/CS-1/local-list"
    assert_problem(await api.get(where), 404, "no local list")
    await api.put(f"{API}/tokens/TAG", json={})
    assert (await api.put(where, json={"tokens": ["TAG"]})).json()["accepted"] is True
    first = (await api.get(where)).json()
    assert [entry["idToken"]["idToken"] for entry in first["entries"]] == ["TAG"]
    assert (await api.delete(where)).json()["accepted"] is True
    emptied = (await api.get(where)).json()
    assert (emptied["entries"], emptied["version"] > first["version"]) == ([], True)


async def test_T79_start_takes_a_profile_without_transaction_along(api, line) -> None:
    await api.put(f"{API}/tokens/TAG", json={})
    start = {"station_id": "CS-1", "token": "TAG", "profile": {"purpose": "tx", "periods": PROFILE["periods"]}}
    told = (await api.post(f"{API}/sessions", json=start)).json()
    assert told["accepted"] is True
    sent = json.loads(bytes(line.asked[-1].payload))
    assert "transactionId" not in sent["chargingProfile"]
    assert sent["chargingProfile"]["id"] == sent["remoteStartId"] > 0
    start["profile"]["purpose"] = "tx_default"
    assert_problem(await api.post(f"{API}/sessions", json=start), 422, "purpose `tx`")


async def test_unknown_words_are_refused_before_anything_is_sent(api, line) -> None:
    assert_problem(await api.post(f"{API}/stations/CS-1/reset", json={"kind": "hard"}), 422, "kind")
    assert_problem(await api.post(f"{API}/stations/CS-1/reset", json={"type": "lukewarm"}), 422, "type")
    assert_problem(await api.post(f"{API}/stations/NONE/reset", json={}), 404)
    assert line.asked == []


async def test_station_that_is_away_is_a_conflict_with_the_record(api) -> None:
    await api.put(f"{API}/stations/CS-2", json={})
    one = await api.post(f"{API}/stations/CS-2/reset", json={})
    assert (one.status_code, one.json()["status"], one.json()["accepted"]) == (409, "offline", None)
    several = await api.patch(f"{API}/stations/CS-2/configuration", json={"values": {"A": "1", "B": "2"}})
    assert (several.status_code, several.json()["status"], several.json()["planned"]) == (409, "offline", 2)
    assert len(several.json()["commands"]) == 1, "who does not answer one is not asked the next"


async def test_what_takes_longer_goes_on_by_itself(api, line) -> None:
    line._reply = None
    path, words = f"{API}/stations/CS-1/clear-cache", {}
    told = await api.post(path, json=words, params={"wait": 0})
    assert (told.status_code, told.json()["status"]) == (202, "pending")
    assert told.headers["location"] == f"{API}/commands/{told.json()['id']}"
    line.answer(await line.next_call(), {"status": "Accepted"})
