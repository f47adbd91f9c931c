"""Schemathesis over the OpenAPI document, for every role: whatever is asked, no answer is a server's fault.

`CSMS_API_CALLS=20000` for a longer run (calls in all, right ones and wrong ones).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation

from csms.app import serve
from csms.settings import Settings
from csms.web.access import RIGHTS

pytestmark = [pytest.mark.fuzz, pytest.mark.journey]

CALLS = int(os.environ.get("CSMS_API_CALLS", "1200"))
KEY = "csms_an-admin-key-for-tests"
# Goes on for ever; calls addresses that are made up; ends what the test came in with.
LEFT_OUT = {("GET", "/api/v1/events"), ("POST", "/api/v1/webhooks/{id}/test")}


@schemathesis.serializer("application/x-ndjson")
def as_lines(ctx: object, value: object) -> bytes:
    """Whatever was made up, a line each."""
    return b"\n".join(json.dumps(line).encode() for line in (value if isinstance(value, list) else [value]))


@pytest.fixture(scope="module")
def base(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a socket, with something of everything."""
    database = shutil.copy(migrated, tmp_path_factory.mktemp("openapi") / "csms.db")
    given_settings = Settings(
        database_url=f"sqlite:///{database}", ocpp_port=0, http_port=0, admin_key=KEY, log_level="error"
    )
    ready, told = threading.Event(), []
    loop_and_stop: list = []

    def announce(line: str) -> None:
        told.append(line)
        if line.startswith("Data:"):
            ready.set()

    async def run() -> None:
        stop = asyncio.Event()
        loop_and_stop.extend((asyncio.get_running_loop(), stop))
        await serve(given_settings, announce, stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="server")
    thread.start()
    assert ready.wait(20)
    address = next(line for line in told if line.startswith("API:")).split()[1].removesuffix("/api/v1")
    yield address
    loop_and_stop[0].call_soon_threadsafe(loop_and_stop[1].set)
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def keys(base: str) -> dict[str, str]:
    """A key of each role, of an operator that has a few things; an admin of all; nobody's."""
    with httpx.Client(base_url=f"{base}/api/v1", headers={"Authorization": f"Bearer {KEY}"}) as http:
        http.put("/operators/north", json={})
        for path, body in (("locations/L", {"name": "L"}), ("stations/S", {"password": None}), ("tokens/T", {})):
            assert http.put(f"/{path}", json=body, params={"operator": "north"}).status_code == 201
        made = {"nobody": "none"}
        for role in RIGHTS:
            answer = http.post("/api-keys", json={"name": role, "role": role, "operator": "north"})
            made[role] = answer.json()["key"]
    return {role: made[role] for role in ("nobody", "viewer", "support", "operator", "admin")} | {"admin of all": KEY}


def test_no_answer_is_a_servers_fault(base: str, keys: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_url(f"{base}/api/openapi.json")
    operations = [
        operation
        for operation in (result.ok() for result in schema.get_all_operations())
        if (operation.method.upper(), operation.path) not in LEFT_OUT
    ]
    examples = max(1, CALLS // (len(operations) * len(keys) * 2))
    seen: Counter[int] = Counter()
    faults: list[str] = []
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _ask(operation, mode, keys, examples, seen, faults)
    calls = sum(seen.values())
    print(f"{calls} calls, {len(operations)} operations, {len(keys)} callers: {dict(sorted(seen.items()))}")
    assert faults == []
    assert calls >= len(operations) * len(keys)
    assert {200, 401, 403, 404, 422} <= seen.keys()


def _ask(
    operation: APIOperation, mode: GenerationMode, keys: dict[str, str], examples: int, seen: Counter[int],
    faults: list[str],
) -> None:  # fmt: skip
    """What is generated is asked by everybody in turn, who may least first."""

    @settings(
        max_examples=examples, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode))
    def asked(case: Case) -> None:
        for name in {"wait", "queue"} & set(case.query or ()):
            if isinstance(case.query[name], int | float):
                case.query[name] = 0  # Stations that are not there would be waited for.
        for role, key in keys.items():
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {key}"}
            response = case.call(timeout=30)
            seen[response.status_code] += 1
            if response.status_code >= 500:
                faults.append(f"{role}: {case.as_curl_command()} → {response.status_code} {response.text[:300]}")

    try:
        asked()
    except (Unsatisfiable, SkipTest):
        assert mode is GenerationMode.NEGATIVE, operation.label  # Nothing about this route can be wrong.
