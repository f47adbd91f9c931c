"""Thousands of mutated messages against a running server (I1): it answers or closes, and nobody else notices."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csms.ocpp.catalogue import Version, actions
from csms.ocpp.websocket import WebSocket
from tests.gateway.wire import handshake
from tests.journeys.processes import ServerProcess
from tests.schema_strategy import valid

FRAMES = int(os.environ.get("CSMS_FUZZ_FRAMES", "5000"))
SEED = int(os.environ.get("CSMS_FUZZ_SEED", "1"))
ATTACKERS = 9
BATCH = 25
BOOT = {
    Version.V16: {"chargePointVendor": "Vendor", "chargePointModel": "Model"},
    Version.V201: {"reason": "PowerUp", "chargingStation": {"vendorName": "Vendor", "model": "Model"}},
    Version.V21: {"reason": "PowerUp", "chargingStation": {"vendorName": "Vendor", "model": "Model"}},
}
VERSIONS = list(Version)
# Not all of 2.1 is answered: what is not must be refused in the right words.
REFUSED_21 = {"NotSupported", "SecurityError"}
ELEMENTS = {3: 3, 4: 5, 5: 5}
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[\[\]{},:]')
STRANGE_TOKENS = [
    b"null", b"true", b"{}", b"[]", b'""', b"NaN", b"1e999", b"-1", b"99999999999999999999", b'"\\ud800"', b'"\\u0000"',
    b'"222222017-01-01T00:00:00Z"', b"[", b"]", b"{", b"}", b",", b":", b"", b"'", b"1.5", b'"' + b"x" * 5000 + b'"',
]  # fmt: skip
STRANGE_VALUES: list[Any] = [
    None, True, 0, -1, 2**31, 2**63, 10**30, 0.1, 1e308, "", "x" * 600, "NaN", "null", "1970-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z", [], [[]], {}, {"": None}, "é漢😀\0", "-5", "1e999", {"vendorId": "V"},
]  # fmt: skip
SHOULD_BE_EMPTY = (
    "SELECT id FROM sessions WHERE energy_wh < 0",
    "SELECT session_id FROM samples WHERE session_id NOT IN (SELECT id FROM sessions)",
    "SELECT id FROM sessions WHERE ended_at IS NOT NULL AND id NOT IN (SELECT json_each.value ->> 'session' "
    "FROM outbox, json_each(outbox.events) WHERE json_each.value ->> 'type' = 'session.closed')",
)

Dice = random.Random
Frame = list[Any]


def sound_frames(version: Version, examples: int) -> list[Frame]:
    """Valid calls of every action a station may send."""
    found: list[Frame] = []

    @settings(
        max_examples=examples, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        for name, action in actions(version).items():
            if action.from_station:
                kind = 2 if action.response is not None else 6  # 2.1: what is sent, never answered.
                found.append([kind, f"f{len(found)}", name, data.draw(valid(version, f"{name}Request"))])
        found.append([3, "f", {"status": "Accepted"}])
        found.append([4, "f", "InternalError", "", {}])
        if version is Version.V21:
            found.append([5, "f", "InternalError", "", {}])

    collect()
    return found


def bytes_mutated(frame: Frame, dice: Dice) -> bytes:
    data = bytearray(json.dumps(frame, ensure_ascii=dice.random() < 0.9).encode())
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) + 1)
        to = at + dice.randint(1, 8)
        match dice.randrange(4):
            case 0:
                data[at:to] = b""
            case 1:
                data[at:at] = bytes(
                    dice.choice(b'[]{}",:0123456789\\truefalsn \n\0') for _ in range(dice.randint(1, 4))
                )
            case 2:
                data[at:at] = data[at : at + dice.randint(1, 200)]
            case _:
                data[at:to] = dice.randbytes(1) if dice.random() < 0.1 else bytes([dice.randrange(32, 127)])
    return bytes(data[: dice.randrange(len(data) + 1)] if data and dice.random() < 0.2 else data)


def tokens_mutated(frame: Frame, dice: Dice) -> bytes:
    tokens = TOKENS.findall(json.dumps(frame).encode())
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(tokens))
        match dice.randrange(3):
            case 0:
                tokens[at] = dice.choice(STRANGE_TOKENS)
            case 1:
                tokens[at] = dice.choice(tokens)
            case _:
                tokens[at:at] = [dice.choice(tokens)]
    return b"".join(tokens)


def fields_mutated(frame: Frame, dice: Dice) -> bytes:
    frame = json.loads(json.dumps(frame))
    for _ in range(dice.randint(1, 3)):
        holder, key = dice.choice([*places(frame)])
        match dice.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[str(key)[:-1] or "extra"] = holder[key]
            case 2 if isinstance(holder[key], list):
                holder[key] = holder[key] * dice.choice((0, 2, 50))
            case _:
                holder[key] = deepcopy(dice.choice(STRANGE_VALUES))
    return json.dumps(frame).encode()


def places(holder: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from places(holder[key])


MUTATIONS: list[Callable[[Frame, Dice], bytes]] = [bytes_mutated, tokens_mutated, fields_mutated]


def mutated_frames(version: Version, number: int, seed: int) -> list[bytes]:
    dice = random.Random(seed)
    sound = sound_frames(version, max(5, min(50, number // 250)))
    frames: list[bytes] = []
    while len(frames) < number:
        frames.append(dice.choice(MUTATIONS)(dice.choice(sound), dice))
    return frames


class Socket:
    """A station's end that sends whatever bytes it is given, and comes back when it is sent away."""

    def __init__(self, port: int, identity: str, version: Version):
        self.closes = 0
        self.answers = 0
        self._port, self._identity, self._version = port, identity, version
        self._asked = 0

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(handshake(f"/ocpp/{self._identity}", self._version.subprotocol))
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        self._socket = WebSocket(client=True)
        booted = await self.call("BootNotification", BOOT[self._version])
        assert booted is None or booted["status"] == "Accepted"

    def send(self, frame: bytes) -> None:
        self._writer.write(self._socket.frame(frame))

    async def call(self, action: str, payload: dict[str, Any]) -> Any:
        """The payload of the answer, None where 2.1 knows none yet; other answers on the way are read as well."""
        self._asked += 1
        message_id = f"ask-{self._asked}"
        self.send(json.dumps([2, message_id, action, payload]).encode())
        async with asyncio.timeout(30):
            while True:
                data = await self._reader.read(65536)
                if not data:
                    raise ConnectionResetError
                for message in self._socket.receive(data)[0]:
                    frame = json.loads(message)
                    if frame[0] == 2:  # The system asks something of its own: nobody here answers that.
                        continue
                    assert len(frame) == ELEMENTS[frame[0]], frame
                    self.answers += 1
                    if frame[1] == message_id and frame[0] == 3:
                        return frame[2]
                    if frame[1] == message_id:
                        assert self._version is Version.V21 and frame[2] in REFUSED_21, frame
                        return None

    async def attack(self, frames: list[bytes]) -> None:
        """Each batch is followed by a sound message, which must be answered unless the server closed."""
        await self.open()
        for start in range(0, len(frames), BATCH):
            try:
                for frame in frames[start : start + BATCH]:
                    self.send(frame)
                await self.call("Heartbeat", {})
            except ConnectionError:
                assert self._socket.closed is None or self._socket.closed.code in (1002, 1003, 1007, 1009), (
                    self._socket.closed
                )
                self.closes += 1
                self.close()
                await self.open()
        self.close()

    def close(self) -> None:
        self._writer.close()


async def sing(canary: Socket) -> list[float]:
    """Report a status again and again; how long each answer took, in s."""
    await canary.open()
    songs: list[float] = []
    status = {"connectorId": 1, "errorCode": "NoError"}
    with suppress(asyncio.CancelledError):
        while True:
            word, asked_at = ("Available", "Preparing")[len(songs) % 2], monotonic()
            assert await canary.call("StatusNotification", status | {"status": word}) == {}
            songs.append(monotonic() - asked_at)
            await asyncio.sleep(0.02)
    return songs


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A running server that takes unknown stations in, and speaks every version."""
    process = ServerProcess(tmp_path, registration="open", ocpp_versions=",".join(VERSIONS))
    await process.start()
    yield process
    await process.stop()


async def test_I1_mutated_frames_harm_nobody(server: ServerProcess) -> None:
    port = server.settings["ocpp_port"]
    frames = {version: mutated_frames(version, FRAMES // 3 + 1, SEED) for version in VERSIONS}
    attackers = [Socket(port, f"BAD-{number}", VERSIONS[number % 3]) for number in range(ATTACKERS)]
    canaries = [Socket(port, f"CANARY-{number}", Version.V16) for number in range(3)]
    singing = [asyncio.create_task(sing(canary)) for canary in canaries]
    await asyncio.gather(
        *(attacker.attack(frames[VERSIONS[number % 3]][number // 3 :: ATTACKERS // 3])
          for number, attacker in enumerate(attackers))
    )  # fmt: skip
    for song in singing:
        song.cancel()
    songs = await asyncio.gather(*singing)
    for canary in canaries:
        canary.close()

    answered = sorted(itertools.chain(*songs))
    told(
        frames=sum(map(len, frames.values())), answers=sum(attacker.answers for attacker in attackers),
        closes=sum(attacker.closes for attacker in attackers), canary_answers=len(answered),
        canary_p99_ms=round(1000 * answered[len(answered) * 99 // 100], 1), canary_worst_ms=round(1000 * answered[-1], 1),
    )  # fmt: skip
    assert min(map(len, songs)) >= 20, "the canaries were answered all along"
    assert sum(canary.closes for canary in canaries) == 0
    assert sum(attacker.answers for attacker in attackers) > FRAMES / 2, "most frames were answered"
    await assert_healthy(server)


def told(**figures: float) -> None:
    """For whoever runs it with -s."""
    print(json.dumps(figures))


async def assert_healthy(server: ServerProcess) -> None:
    loud = [line for line in server.log_lines() if line.get("level") in ("error", "critical")]
    assert not loud, "\n".join(json.dumps(line)[-1500:] for line in loud[:3])
    assert "Traceback" not in server._log.read_text()
    async with httpx.AsyncClient() as http:
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert (await http.get(server.http + path)).status_code == 200, path
    assert len(await server.command("station", "list")) >= ATTACKERS
    assert await server.command("session", "list") is not None
    with sqlite3.connect(server.database.removeprefix("sqlite:///")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        for nothing in SHOULD_BE_EMPTY:
            assert database.execute(nothing).fetchall() == [], nothing
