"""A station for certification cases: it says what a case says, and answers what the case lets it answer.

Both directions are judged by the schemas of the independent `ocpp` package.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ocpp.messages import Call, CallResult, validate_payload
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

WITHIN = 10.0  # s that anything may take.
Payload = dict[str, Any]


class CallError(Exception):
    """The system answered with an error."""

    def __init__(self, code: str, description: str):
        super().__init__(f"{code}: {description}")
        self.code = code


class Refusal:
    """An answer to the system that is an error."""

    def __init__(self, code: str, description: str = ""):
        self.code = code
        self.description = description


Answer = Payload | Refusal | Callable[[Payload], "Payload | Refusal"]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Station:
    """One station. `call` says something to the system, `asked` waits for what the system asks and answers it."""

    def __init__(
        self,
        url: str,
        identity: str,
        version: str,
        password: str | bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ):
        self.url = url
        self.identity = identity
        self.version = version
        self.password = password
        self.tls = tls
        self.asks: list[tuple[str, Payload]] = []  # Everything the system asked, in order.
        self._socket: ClientConnection | None = None
        self._ids = itertools.count(1)
        self._pending: dict[str, asyncio.Future[Payload]] = {}
        self._questions: asyncio.Queue[tuple[str, str, Payload]] = asyncio.Queue()
        self._reader: asyncio.Task | None = None

    # The socket.

    async def connect(self) -> None:
        """Connect; raises what `websockets` raises when the system refuses."""
        self._socket = await connect(
            f"{self.url}/{quote(self.identity, safe='')}", subprotocols=[f"ocpp{self.version}"], ssl=self.tls,
            additional_headers=self.credentials(), proxy=None, open_timeout=WITHIN, close_timeout=1,
        )  # fmt: skip
        assert self._socket.subprotocol == f"ocpp{self.version}"
        self._reader = asyncio.create_task(self._read(), name=f"station-{self.identity}")

    def credentials(self, user: str | None = None) -> dict[str, str]:
        """The header that its password makes, for its own name or another's."""
        if self.password is None:
            return {}
        password = self.password if isinstance(self.password, bytes) else self.password.encode()
        told = base64.b64encode(f"{user or self.identity}:".encode() + password).decode()
        return {"Authorization": f"Basic {told}"}

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
            with suppress(ConnectionClosed):
                await self._reader
            self._socket = None

    async def reconnect(self, *, boot: bool = False, **fields: Any) -> None:
        """As after a reset (with a boot) or a lost connection (without)."""
        await self.close()
        await self.connect()
        if boot:
            await self.boot(**fields)

    async def closed(self) -> int:
        """Wait until the system ends the conversation; the close code."""
        async with asyncio.timeout(WITHIN):
            await self._socket.wait_closed()
        return self._socket.close_code or 1006

    async def _read(self) -> None:
        async for text in self._socket:
            frame = json.loads(text)
            if frame[0] == 2:
                self._questions.put_nowait((frame[1], frame[2], frame[3]))
                continue
            waiting = self._pending.pop(frame[1], None)
            assert waiting is not None, f"an answer to nothing we asked: {text}"
            if frame[0] == 3:
                waiting.set_result(frame[2])
            else:
                waiting.set_exception(CallError(frame[2], frame[3]))

    # What the station says.

    async def call(self, action: str, payload: Payload | None = None, *, message_id: str | None = None) -> Payload:
        """Say something; the system's answer. Both have to be valid."""
        payload = payload or {}
        id = message_id or f"s{next(self._ids)}"
        await validate_payload(Call(id, action, payload), self.version)
        answer = await self.call_raw(action, payload, id)
        await validate_payload(CallResult(id, answer, action), self.version)
        return answer

    async def call_raw(self, action: str, payload: Any, id: str | None = None) -> Payload:
        """Say something that no schema judges; the answer, CallError for an error."""
        id = id or f"s{next(self._ids)}"
        future = self._pending[id] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps([2, id, action, payload]))
        async with asyncio.timeout(WITHIN):
            return await future

    async def boot(self, **fields: Any) -> Payload:
        """Boot; the answer. `fields` go into the request (1.6), or into what it says of the station (2.x)."""
        if self.version == "1.6":
            about = {"chargePointVendor": "Tester", "chargePointModel": "T1"} | fields
            return await self.call("BootNotification", about)
        reason = fields.pop("reason", "PowerUp")
        about = {"vendorName": "Tester", "model": "T2"} | fields
        return await self.call("BootNotification", {"reason": reason, "chargingStation": about})

    async def status(self, status: str, connector: int = 1, evse: int | None = None, **fields: Any) -> Payload:
        """Tell the status of a connector (1.6: its number; 2.x: that connector of `evse`, or of the EVSE numbered so)."""
        if self.version == "1.6":
            said = {"connectorId": connector, "status": status, "errorCode": "NoError", "timestamp": now()}
            return await self.call("StatusNotification", said | fields)
        place = {"evseId": connector, "connectorId": 1} if evse is None else {"evseId": evse, "connectorId": connector}
        return await self.call("StatusNotification", {"timestamp": now(), "connectorStatus": status} | place | fields)

    # What the system asks.

    async def asked(self, action: str, answer: Answer | None = None) -> Payload:
        """Wait for the system's next question, which has to be this one and valid, and answer it; what was asked."""
        async with asyncio.timeout(WITHIN):
            id, got, payload = await self._questions.get()
        self.asks.append((got, payload))
        assert got == action, f"the system asked {got} {payload}, not {action}"
        await validate_payload(Call(id, action, payload), self.version)
        said = answer(payload) if callable(answer) else answer if answer is not None else {"status": "Accepted"}
        if isinstance(said, Refusal):
            frame = [4, id, said.code, said.description, {}]
        else:
            await validate_payload(CallResult(id, said, action), self.version)
            frame = [3, id, said]
        await self._socket.send(json.dumps(frame))
        return payload

    def unasked(self) -> list[tuple[str, Payload]]:
        """What the system asked and no one waited for: nothing, in a case that holds."""
        rest = []
        while not self._questions.empty():
            _, action, payload = self._questions.get_nowait()
            rest.append((action, payload))
        return rest
