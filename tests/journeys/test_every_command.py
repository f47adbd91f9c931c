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

from csms.ocpp.catalogue import Version, actions
from simulators.reference import connected
from tests.journeys.command_cases import CASES, Books, Case
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
