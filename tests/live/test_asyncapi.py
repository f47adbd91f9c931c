"""What a running server publishes is what its own description says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.journeys.processes import ServerProcess, run_fleet
from tests.live.broker import Broker, Listener

pytestmark = pytest.mark.live

KEY = "a-key-for-readers-of-events"


async def test_published_messages_are_as_the_server_describes_them(
    broker: Broker, listener: Listener, tmp_path: Path
) -> None:
    server = ServerProcess(tmp_path, registration="open", admin_key=KEY, mqtt_url=broker.url)
    await server.start()
    try:
        await server.command("token", "add", "SIM-TOKEN-0001")
        await run_fleet("--url", server.url, "--stations", "30", "--version", "mix", "--speed", "90", "--for", "6",
                        "--token", "SIM-TOKEN-0001")  # fmt: skip
        async with httpx.AsyncClient(base_url=server.http, headers={"Authorization": f"Bearer {KEY}"}) as http:
            described = (await http.get("/api/asyncapi.json")).json()
            streamed = await first_events(http, 60)
        await listener.until(lambda: len(listener.events()) >= 60 and listener.states())
    finally:
        await server.stop()

    event, batch, state = (judge(described, part) for part in ("Event", "EventBatch", "StationState"))
    for topic, message in listener.messages:
        (state if topic.endswith("/state") else batch).validate(message)
    for each in streamed:
        event.validate(each)
    by_id = {each["event_id"]: each for each in listener.events()}
    shared = [each for each in streamed if each["event_id"] in by_id]
    assert len(shared) >= 50
    assert all(by_id[each["event_id"]] == each for each in shared), "one event, wherever it is told"
    assert {"station.booted", "session.opened"} <= {each["type"] for each in by_id.values()}


def judge(described: dict[str, Any], name: str) -> Any:
    components = described["components"]
    messages = components["messages"]
    schema = messages[name]["payload"] if name in messages else components["schemas"][name]
    return jsonschema_rs.validator_for({**schema, "components": components}, validate_formats=True)


async def first_events(http: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(20), http.stream("GET", "/api/v1/events?after=0") as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line[6:]))
                if len(events) == count:
                    break
    return events
