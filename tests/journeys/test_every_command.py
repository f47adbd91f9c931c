"""Every action of every version, from an operator's request to a station of the independent `ocpp` package, and what is
kept of it afterwards: one server for all, a station for each case."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from ocpp.messages import Call, validate_payload

from csms.cluster.neutral import VERBS
from csms.ocpp.catalogue import Version, actions
from csms.web.verbs import METHODS
from simulators.reference import connected
from tests.journeys.command_cases import CASES, MONITOR, PROFILE_201, PROFILES, Books, Case
from tests.journeys.processes import ServerProcess

ADMIN_KEY = "csms_every-command-tests-only"

pytestmark = pytest.mark.asyncio(loop_scope="module")
_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("commands"), admin_key=ADMIN_KEY)
    await process.start()
    yield process
    await process.stop()
    assert [line for line in process.log_lines() if line["level"] == "error"] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(running: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=f"{running.http}/api/v1/", headers=headers, timeout=30) as http:
        yield http


@contextlib.asynccontextmanager
async def booted(operator: httpx.AsyncClient, url: str, version: str) -> AsyncIterator[tuple[str, Any]]:
    name = f"REF-{next(_numbers)}"
    added = (await operator.put(f"stations/{name}", json={})).json()
    async with connected(url, name, version, password=added["password"]) as station:
        await station.boot()
        station.heard.clear()
        yield name, station


async def ask(operator: httpx.AsyncClient, name: str, action: str, body: str) -> dict[str, Any]:
    response = await operator.post(f"stations/{name}/commands/{action}", content=body, params={"wait": 20})
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_command_goes_out_as_given_and_is_kept(running: ServerProcess, operator: httpx.AsyncClient, case: Case):
    async with booted(operator, running.url, case.version) as (name, station):
        for action, payload in case.before:
            assert (await ask(operator, name, action, json.dumps(payload)))["status"] == "answered"
        body = json.dumps(case.payload, separators=(", ", " : "))  # As no encoder of ours would write it.
        told = await ask(operator, name, case.action, body)

        heard = station.heard[-1]
        sent = json.loads(heard.frame)[3]
        await validate_payload(Call(unique_id="1", action=case.action, payload=sent), case.version)
        if case.given:
            number = sent
            for part in case.given:
                number = number[part]
            assert isinstance(number, int) and number > 0
            assert list(sent)[: len(case.payload)] == list(case.payload), "what was given keeps its order"
            assert {name: sent[name] for name in case.payload} == case.payload
        else:
            assert body in heard.frame, "sent as given"
        assert (heard.action, told["action"], told["status"]) == (case.action, case.action, "answered"), told
        assert told["request"] == sent
        assert told["error"] is None and told["sent_at"] <= told["settled_at"]
        assert isinstance(told["response"], dict)
        if case.books is not None:
            await wait_for(operator, name, case.books)


async def wait_for(operator: httpx.AsyncClient, name: str, books: Books) -> None:
    """What a station sends after its answer comes a moment later."""
    items: list[dict[str, Any]] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while True:
                items = (await operator.get(books.path.format(station=name))).json()["items"]
                if any(holds(item, books.item) for item in items) is not books.gone:
                    return
                await asyncio.sleep(0.02)
    raise AssertionError(f"{'still' if books.gone else 'nothing like'} {books.item} in {items}")


def holds(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there: what dicts hold besides does not matter."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(found.get(name), value) for name, value in wanted.items())
    return found == wanted


async def test_every_action_of_every_version_has_its_case():
    asked = {(case.version, case.action) for case in CASES}
    there = {
        (str(version), name)
        for version in (Version.V16, Version.V201)
        for name, action in actions(version).items()
        if action.from_csms
    }
    assert asked == there
    assert len(asked) == len(CASES) == 26 + 40


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_what_a_station_has_no_handler_for_is_an_outcome(running, operator, version):
    """T83: NotImplemented and NotSupported are told, kept, and taken back by the first answer."""
    async with booted(operator, running.url, version) as (name, station):
        kept = station.route_map.pop("ClearCache")
        told = await ask(operator, name, "ClearCache", "{}")
        assert (told["status"], told["error"]["code"]) == ("error", "NotImplemented")
        path = f"stations/{name}/unsupported"
        (item,) = (await operator.get(path)).json()["items"]
        assert (item["key"], item["data"]["code"]) == ("ClearCache", "NotImplemented")
        station.route_map["ClearCache"] = kept
        assert (await ask(operator, name, "ClearCache", "{}"))["status"] == "answered"
        assert (await operator.get(path)).json()["items"] == []


# Neutral verbs


PERIODS = [{"start": 0, "limit": 10.0}, {"start": 600, "limit": 16.0}]
HEARTBEAT = {"component": "OCPPCommCtrlr", "variable": "HeartbeatInterval"}
# Words for each verb; two where the versions do not share it.
WORDS: dict[str, dict[str, Any]] = {
    "reset": {"type": "hard"},
    "unlock": {"evse_id": 1},
    "availability": {"operative": False},
    "trigger": {"message": "heartbeat"},
    "report": {},
    "clear-cache": {},
    "firmware": {"location": "https://firmware.example/1.bin"},
    "logs": {"location": "https://logs.example/in"},
    "configuration/read": {"keys": ["HeartbeatInterval"]},
    "configuration": {"values": {"HeartbeatInterval": "60", "MeterValueSampleInterval": "30"}},
    "variables/read": {"variables": [HEARTBEAT]},
    "variables": {"variables": [HEARTBEAT | {"value": "60"}]},
    "charging-profiles": {"purpose": "tx_default", "periods": PERIODS},
    "charging-profiles/read": {"purpose": "tx_default"},
    "charging-profiles/clear": {"purpose": "tx_default"},
    "composite-schedule": {"evse_id": 1, "duration": 3600},
    "reservations": {"token": "TAG", "expires_at": "2099-01-01T00:00:00Z", "evse_id": 1},
    "reservations/cancel": {"reservation_id": 1},
    "local-list": {"tokens": ["TAG"]},
    "local-list/change": {"put": ["TAG"]},
    "local-list/version": {},
}
LACKING = {
    "1.6": {"variables/read", "variables", "charging-profiles/read"}, "2.0.1": {"configuration/read", "configuration"},
}  # fmt: skip


async def put_tokens(operator: httpx.AsyncClient, *values: str) -> None:
    for value in values:
        assert (await operator.put(f"tokens/{value}", json={})).is_success


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_every_verb_reaches_a_station_of_each_version(running, operator, version):
    assert {*WORDS} == {*VERBS}
    await put_tokens(operator, "TAG")
    async with booted(operator, running.url, version) as (name, station):
        for verb, words in WORDS.items():
            heard = len(station.heard)
            method = METHODS.get(verb, "POST")
            response = await operator.request(method, f"stations/{name}/{verb}", json=words, params={"wait": 20})
            if verb in LACKING[version]:
                assert response.status_code == 409, (verb, response.text)
                assert "1.6" in response.json()["detail"] or "2.x" in response.json()["detail"]
                assert len(station.heard) == heard
                continue
            assert response.status_code == 200, (verb, response.text)
            told = response.json()
            assert (told["status"], told["accepted"]) == ("answered", True)
            assert len(station.heard) > heard


@pytest.mark.parametrize(("version", "most"), [("1.6", 20), ("2.0.1", 4)])
async def test_T76_a_list_is_sent_in_parts_that_the_station_takes(running, operator, version, most):
    """Its limit is asked for when it never told it; versions rise, and what it keeps is the whole list."""
    tokens = [f"LIST-{number}" for number in range(2 * most + 1)]
    await put_tokens(operator, *tokens)
    async with booted(operator, running.url, version) as (name, station):
        told = (await operator.put(f"stations/{name}/local-list", json={"tokens": tokens})).json()
        assert (told["status"], told["accepted"], told["planned"]) == ("answered", True, 3)
        assert station.heard[0].action in ("GetConfiguration", "GetVariables")
        sent = [json.loads(heard.frame)[3] for heard in station.heard[1:]]
        assert [len(each["localAuthorizationList"]) for each in sent] == [most, most, 1]
        assert [each.get("listVersion") or each["versionNumber"] for each in sent] == [1, 2, 3]
        assert [each["version"] for each in told["results"]] == [1, 2, 3]
        (kept,) = (await operator.get(f"local-lists?station_id={name}")).json()["items"]
        assert (kept["version"], len(kept["entries"])) == (3, len(tokens))
        station.heard.clear()
        assert (await operator.put(f"stations/{name}/local-list", json={"tokens": tokens[:2]})).json()["accepted"]
        assert len(station.heard) == 1, "the limit is known now"


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_T81_a_part_that_is_refused_is_the_last(running, operator, version):
    tokens = [f"PART-{number}" for number in range(41)]
    await put_tokens(operator, *tokens)
    async with booted(operator, running.url, version) as (name, station):
        answers = iter(["Accepted", "VersionMismatch"])
        result = type(station.route_map["SendLocalList"]["_on_action"](list_version=1, version_number=1))
        station.route_map["SendLocalList"]["_on_action"] = lambda **_: result(status=next(answers))
        response = await operator.put(f"stations/{name}/local-list", json={"tokens": tokens})
        told = response.json()
        assert (response.status_code, told["status"], told["accepted"]) == (200, "answered", False)
        assert len(told["commands"]) == 2 < told["planned"]
        (kept,) = (await operator.get(f"local-lists?station_id={name}")).json()["items"]
        assert kept["version"] == 1, "what the station took is what it has"


async def test_T87_monitors_and_profiles_are_unconfirmed_after_a_reboot_until_they_are_told_again(running, operator):
    profile = PROFILE_201 | {"id": 99}  # As the reference station tells it.
    monitors = {"setMonitoringData": [MONITOR]}
    async with booted(operator, running.url, "2.0.1") as (name, station):

        async def confirmed(path: str) -> list[bool]:
            items = (await operator.get(path.format(station=name))).json()["items"]
            return [item["confirmed"] for item in items]

        for action, payload in (
            ("SetChargingProfile", {"evseId": 1, "chargingProfile": profile}), ("SetVariableMonitoring", monitors)
        ):  # fmt: skip
            assert (await ask(operator, name, action, json.dumps(payload)))["status"] == "answered"
        assert await confirmed(PROFILES) == await confirmed("stations/{station}/monitors") == [True]
        await station.boot()
        assert await confirmed(PROFILES) == await confirmed("stations/{station}/monitors") == [False]
        assert (await ask(operator, name, "GetChargingProfiles", '{"chargingProfile": {}}'))["status"] == "answered"
        await wait_for(operator, name, Books(PROFILES, {"profile_id": 99, "confirmed": True}))
        assert await confirmed("stations/{station}/monitors") == [False]
