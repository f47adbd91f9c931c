"""Under load a receiver of webhooks is killed, and the server is: the receiver and the command line miss nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.bus.receiver import Receiver
from tests.journeys.processes import ServerProcess, run_fleet
from tests.journeys.test_event_readers import KEY, stored

KILLS = int(os.environ.get("CSMS_RECEIVER_KILLS", "2"))


async def test_killed_receiver_of_webhooks_and_a_tail_miss_nothing(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, registration="open", admin_key=KEY, outbound_allowed="127.0.0.0/8")
    await server.start()
    receiver = await Receiver().start()
    async with httpx.AsyncClient(base_url=server.http, headers={"Authorization": f"Bearer {KEY}"}) as http:
        made = (await http.post("/api/v1/webhooks", json={"url": receiver.url})).json()
    receiver.trust(made["secret"])
    await server.command("token", "add", "SIM-TOKEN-0001")
    tail = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "csms", "tail", "--after", "0", "--json",
        env=server.environment, stdout=PIPE, stderr=DEVNULL, limit=1 << 20,
    )  # fmt: skip
    followed: list[dict[str, Any]] = []
    following = asyncio.create_task(follow(tail.stdout, followed))
    fleet = asyncio.create_task(
        run_fleet("--url", server.url, "--stations", "60", "--version", "mix", "--scenario", "rough", "--speed", "90",
                  "--for", str(KILLS * 5 + 10), "--drain", "30", "--timeout", "5", "--token", "SIM-TOKEN-0001")
    )  # fmt: skip
    try:
        await receiver.until(lambda: followed, within=90)
        for kill in range(KILLS):
            known = len(receiver.taken)
            await receiver.until(lambda known=known: len(receiver.taken) > known + 20 or fleet.done(), within=90)
            if kill % 2:
                await server.kill()
                await server.start()
            else:
                await receiver.kill()
                await asyncio.sleep(0.5)
                await receiver.start()
        await fleet
        expected = stored(tmp_path)
        await receiver.until(lambda: {each["event_id"] for each in receiver.taken} >= set(expected), within=90)
        await receiver.until(lambda: followed and followed[-1].get("event_id") == expected[-1], within=90)
    finally:
        following.cancel()
        with suppress(ProcessLookupError):
            tail.kill()
        await tail.wait()
        await receiver.kill()
        await server.stop()

    first = dict.fromkeys(each["event_id"] for each in receiver.taken)
    assert list(first) == expected, "each at least once, in order, and nothing that was not stored"
    assert [each for each in followed if "event_id" not in each] == []
    assert [each["event_id"] for each in followed] == expected, "each once, in order"
    assert len(expected) > 50 * KILLS, "too little load for the test to mean anything"


async def follow(stream: asyncio.StreamReader, events: list[dict[str, Any]]) -> None:
    while line := await stream.readline():
        events.append(json.loads(line))
