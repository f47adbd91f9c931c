"""Bad neighbours, many at once: the others' answers keep coming, nobody is cut off for them, and memory stays bounded.

`CSMS_OVERLOAD=25 python -m pytest -s …` is 25 times as large; -s prints the figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from csms.ocpp.websocket import WebSocket
from tests.gateway.test_storm import has_addresses
from tests.gateway.wire import handshake
from tests.journeys.processes import ROOT, ServerProcess, environment

SIZE = float(os.environ.get("CSMS_OVERLOAD", "1"))
DEADLINE = 5.0  # s for a handshake, here.
MOST_GROWTH = 100 << 20  # Bytes: reliability.md N3; an attack that is buffered would take far more.

pytestmark = pytest.mark.skipif(not has_addresses(), reason="this machine has one loopback address only")


@dataclass
class Canary:
    """A station that behaves, and notices everything."""

    port: int
    identity: str
    waits: list[float] = field(default_factory=list)  # s until each answer.
    comings: list[float] = field(default_factory=list)  # s until each connection was there.
    lost: int = 0

    async def come(self) -> None:
        began = monotonic()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writer.write(handshake(f"/ocpp/{self.identity}"))
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head, head
        self._socket = WebSocket(client=True)
        self.comings.append(monotonic() - began)

    def leave(self) -> None:
        self._writer.close()

    async def ask(self, action: str, payload: dict[str, Any]) -> None:
        began = monotonic()
        self._writer.write(self._socket.frame(json.dumps([2, "1", action, payload]).encode()))
        messages: list[bytes] = []
        while not messages:
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionError("closed")
            messages, out = self._socket.receive(data)
            self._writer.write(out)
        assert json.loads(messages[0])[0] == 3, messages
        self.waits.append(monotonic() - began)

    async def sing(self, comes_again: bool = False) -> None:
        """Report a status ten times a second; with `comes_again` over a new connection now and then."""
        status = {"connectorId": 1, "errorCode": "NoError"}
        while True:
            try:
                await self.ask(
                    "StatusNotification", status | {"status": ("Available", "Preparing")[len(self.waits) % 2]}
                )
            except ConnectionError:
                self.lost += 1
                await self.come()
            await asyncio.sleep(0.1)
            if comes_again and len(self.waits) % 20 == 0:
                self._writer.close()
                await self.come()


class Besieged:
    """A server, its canaries, and how much memory it takes meanwhile."""

    def __init__(self, server: ServerProcess):
        self.server = server
        self.port = server.settings["ocpp_port"]
        self.figures: dict[str, Any] = {}

    async def by(self, attack: str, number: int, seconds: float, *, come_again: bool = False) -> dict[str, Any]:
        """Run the attack; what it tells."""
        canaries = [Canary(self.port, f"CANARY-{which}") for which in range(5)]
        for canary in canaries:
            await canary.come()
        singing = [asyncio.create_task(canary.sing(come_again)) for canary in canaries]
        before, peak = self._memory(), asyncio.create_task(self._watch())
        try:
            told = await self._attack(attack, max(1, round(number * SIZE)) if number > 1 else 1, seconds)
        finally:
            for task in (*singing, peak):
                task.cancel()
            for canary in canaries:
                canary.leave()
        outcomes = await asyncio.gather(*singing, return_exceptions=True)
        growth = self._peak - before
        waits = sorted(wait for canary in canaries for wait in canary.waits)
        comings = [coming for canary in canaries for coming in canary.comings]
        print(json.dumps({
            "attack": attack, **told, "canary_answers": len(waits), "canaries_lost": sum(each.lost for each in canaries),
            "p50_ms": round(1000 * waits[len(waits) // 2], 1), "p99_ms": round(1000 * waits[len(waits) * 99 // 100], 1),
            "worst_ms": round(1000 * waits[-1], 1), "reconnects": len(comings) - 5,
            "slowest_reconnect_ms": round(1000 * max(comings), 1), "memory_grew_mb": round(growth / 2**20, 1),
        }))  # fmt: skip
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
        assert sum(canary.lost for canary in canaries) == 0, "nobody was cut off for what others did"
        assert min(len(canary.waits) for canary in canaries) >= 5, "answers kept coming"
        assert growth < MOST_GROWTH
        await self.is_well()
        return told

    async def _attack(self, name: str, number: int, seconds: float) -> dict[str, Any]:
        command = [sys.executable, "-m", "tests.journeys.attacks", name, str(self.port), str(number), str(seconds)]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(), cwd=ROOT
        )
        out, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()[-2000:]
        return json.loads(out)

    async def _watch(self) -> None:
        self._peak = 0
        while True:
            self._peak = max(self._peak, self._memory())
            await asyncio.sleep(0.05)

    def _memory(self) -> int:
        """Bytes resident; 0 where the system does not tell."""
        with suppress(OSError):
            for line in Path(f"/proc/{self.server.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) << 10
        return 0

    async def is_well(self) -> None:
        loud = [line for line in self.server.log_lines() if line.get("level") in ("error", "critical")]
        assert not loud, loud[:3]
        async with httpx.AsyncClient() as http:
            assert (await http.get(self.server.http + "/health/ready")).status_code == 200


@pytest.fixture
async def besieged(tmp_path: Path) -> AsyncIterator[Besieged]:
    """A server whose limits concern this machine's addresses, too."""
    process = ServerProcess(
        tmp_path, registration="open", rate_exempt="192.0.2.1/32", rate_messages=20, rate_flood=2,
        handshake_deadline=DEADLINE, message_deadline=5, log_level="error",
    )  # fmt: skip
    await process.start()
    yield Besieged(process)
    await process.stop()


async def test_N3_slow_handshakes_end_by_their_deadline(besieged):
    told = await besieged.by("slow_handshakes", 200, DEADLINE + 13)
    assert told["outlived"] == 0


@pytest.mark.parametrize("attackers", [1, 100])
async def test_N12_stations_that_flood_are_slowed_down_and_sent_away(besieged, attackers):
    told = await besieged.by("floods", attackers, 8)
    assert set(told["ends"]) <= {"1008", "1006", "open"} and told["ends"]["1008"], "who goes on is sent away"


async def test_N9_flapping_stations_are_put_off(besieged):
    told = await besieged.by("flapping", 20, 4)
    assert told["ends"]["503"] > told["ends"]["open"]


async def test_N13_floods_of_sockets_leave_room_for_others(besieged):
    told = await besieged.by("silent_sockets", 400, 5, come_again=True)
    assert told["opened"]["one"] and told["opened"]["many"]


async def test_N7_stations_that_never_read_are_let_go_and_nothing_is_kept_for_them(besieged):
    await besieged.by("slow_readers", 30, 6)


async def test_N4_N5_N6_what_is_too_large_is_refused_before_it_is_kept(besieged):
    told = await besieged.by("oversized", 40, 3)
    assert set(told["ends"]) <= {"1009", "1006", "1008", "1002"}
