"""Stations as the tests of many nodes need them: few, by hand, each on a node of its own choice."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from time import monotonic
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed


class Station:
    """A station of 1.6 on one node, which remembers what it was asked and does it."""

    def __init__(self, socket: ClientConnection):
        self.socket = socket
        self.asked: list[tuple[str, str]] = []  # (message id, action)
        self._answers: asyncio.Queue[list[Any]] = asyncio.Queue()
        self._task = asyncio.create_task(self._listen())

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        return (await self.answer(action, payload))[2]

    async def answer(self, action: str, payload: dict[str, Any]) -> list[Any]:
        """The whole frame: also one that refuses."""
        await self.socket.send(json.dumps([2, f"{action}-{monotonic()}", action, payload]))
        async with asyncio.timeout(20):
            return await self._answers.get()

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
