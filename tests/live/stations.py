"""Stations as the tests of many nodes need them: few, by hand, each on a node of its own choice."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

STATION = "CS-1"
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}
BOOT_2X = {"reason": "PowerUp", "chargingStation": {"vendorName": "Vendor", "model": "Model"}}


class Station:
    """A station on one node, which remembers what it was asked and says that it does it."""

    def __init__(self, socket: ClientConnection, asked: list[tuple[str, str]] | None = None):
        """`asked`: what it was asked over earlier connections."""
        self.socket = socket
        self.asked = [] if asked is None else asked  # (message id, action)
        self._answers: asyncio.Queue[list[Any] | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._listen())

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        return (await self.answer(action, payload))[2]

    async def answer(self, action: str, payload: dict[str, Any]) -> list[Any]:
        """The whole frame: also one that refuses."""
        await self.socket.send(json.dumps([2, f"{action}-{monotonic()}", action, payload]))
        async with asyncio.timeout(20):
            frame = await self._answers.get()
        if frame is None:
            raise ConnectionResetError(f"closed before {action} was answered")
        return frame

    async def closed(self) -> int:
        async with asyncio.timeout(20):
            await self.socket.wait_closed()
        return self.socket.close_code or 1006

    async def _listen(self) -> None:
        with suppress(ConnectionClosed):
            async for text in self.socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    self.asked.append((frame[1], frame[2]))
                    await self.socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
                else:
                    self._answers.put_nowait(frame)
        self._answers.put_nowait(None)


@asynccontextmanager
async def station_at(
    url: str, identity: str = STATION, *, password: str | None = None, version: str = "1.6",
    asked: list[tuple[str, str]] | None = None,
) -> AsyncIterator[Station]:  # fmt: skip
    """Connected there, booted, and known to be."""
    login = {} if password is None else {"Authorization": f"Basic {_basic(identity, password)}"}
    async with connect(
        f"{url}/{identity}", subprotocols=[f"ocpp{version}"], ping_interval=None, close_timeout=1,
        additional_headers=login,
    ) as socket:  # fmt: skip
        station = Station(socket, asked)
        await station.call("BootNotification", BOOT if version == "1.6" else BOOT_2X)
        yield station


@asynccontextmanager
async def returning_station(url: str) -> AsyncIterator[list[tuple[str, str]]]:
    """A station that comes back whenever it is cut off; what it is asked, over all its connections."""
    asked: list[tuple[str, str]] = []

    async def live() -> None:
        while True:
            with suppress(OSError, WebSocketException):  # TimeoutError is an OSError.
                async with station_at(url, asked=asked) as station:
                    await station.socket.wait_closed()
            await asyncio.sleep(0.2)

    task = asyncio.create_task(live())
    try:
        yield asked
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def remote_starts(asked: list[tuple[str, str]]) -> Counter[str]:
    """How often each remote start was sent to the station, by its message id."""
    return Counter(message_id for message_id, action in asked if action == "RemoteStartTransaction")


def _basic(identity: str, password: str) -> str:
    return base64.b64encode(f"{identity}:{password}".encode()).decode()
