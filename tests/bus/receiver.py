"""A receiver of webhooks on a real socket, which answers as it is told and checks every signature."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from standardwebhooks import Webhook as Verifier


class Receiver:
    """`answer` makes the response of each request: a status, (status, headers), or None to hang up."""

    def __init__(self, secret: str | None = None, answer: Callable[[int], Any] = lambda number: 200):
        self.verifier = Verifier(secret) if secret else None
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []  # Events of requests that were answered with 2xx.
        self.hold = asyncio.Event()  # Cleared: answers wait.
        self.hold.set()
        self.news = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def trust(self, secret: str) -> None:
        """Check from now on that requests are signed with it."""
        self.verifier = Verifier(secret)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    async def start(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def kill(self) -> None:
        """Gone in the middle of whatever it does."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def until(self, condition: Callable[[], Any], within: float = 10.0) -> None:
        async with asyncio.timeout(within):
            while not condition():
                self.news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self.news.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        original = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        if self.verifier is not None:
            self.verifier.verify(body, {name.lower(): value for name, value in original.items()})
        events = json.loads(body)["events"]
        self.requests.append({"path": head.split()[1], "headers": headers, "events": events, "body": body})
        await self.hold.wait()
        answer = self.answer(len(self.requests))
        if answer is None:
            return
        status, extra = answer if isinstance(answer, tuple) else (answer, {})
        if 200 <= status < 300:
            self.taken += events
        lines = [f"HTTP/1.1 {status} X", "Content-Length: 0", *(f"{name}: {value}" for name, value in extra.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        self.news.set()
