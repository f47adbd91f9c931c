"""Every message a station may send, valid by the official schemas, gets an answer the independent package calls valid."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from ocpp.messages import Call, CallResult, unpack, validate_payload
from websockets.asyncio.client import ClientConnection, connect

from csms.ocpp.catalogue import Version, actions
from tests.journeys.processes import ServerProcess
from tests.schema_strategy import valid

EXAMPLES = int(os.environ.get("CSMS_FUZZ_EXAMPLES", "4"))


def payloads(version: Version, action: str) -> list[dict[str, Any]]:
    """Some valid requests of an action, the same ones in every run."""
    name = action if version is Version.V16 else f"{action}Request"
    found: list[dict[str, Any]] = []

    @settings(max_examples=EXAMPLES, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(valid(version, name))
    def collect(payload: dict[str, Any]) -> None:
        found.append(payload)

    collect()
    return found


async def exchange(socket: ClientConnection, version: Version, number: int, action: str, payload: Any) -> None:
    call = Call(unique_id=str(number), action=action, payload=payload)
    await socket.send(call.to_json())
    answer = unpack(await socket.recv())
    assert isinstance(answer, CallResult), f"{action} {json.dumps(payload)[:500]}: {answer}"
    answer.action = action
    await validate_payload(answer, version.value)


@pytest.mark.parametrize("version", [Version.V16, Version.V201], ids=str)
async def test_every_valid_message_gets_a_valid_answer(server: ServerProcess, version: Version) -> None:
    added = await server.command("station", "add", "REF-3")
    credentials = base64.b64encode(f"REF-3:{added['password']}".encode()).decode()
    sent = 0
    async with connect(
        f"{server.url}/REF-3",
        subprotocols=[version.subprotocol],
        additional_headers={"Authorization": f"Basic {credentials}"},
    ) as socket:
        boot = payloads(version, "BootNotification")[0]
        await exchange(socket, version, 0, "BootNotification", boot)
        for action in (each for each in actions(version).values() if each.from_station):
            for payload in payloads(version, action.name):
                sent += 1
                await exchange(socket, version, sent, action.name, payload)
    assert sent >= 14 * EXAMPLES / 2
    failed = [line for line in server.log_lines() if line["level"] == "error"]
    assert failed == []
