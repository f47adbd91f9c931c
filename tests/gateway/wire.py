"""Raw bytes of a station that does not use a WebSocket library."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from typing import Any

from websockets.frames import Frame, Opcode

from csms.ocpp.websocket import WebSocket
from tests.conftest import Server


def handshake(path: str = "/ocpp/CS-1", protocol: str = "ocpp1.6", *more: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {protocol}", *more,
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def framed(message: Any, opcode: Opcode = Opcode.TEXT, fin: bool = True) -> bytes:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return Frame(opcode, data, fin).serialize(mask=True)


def header(size: int) -> bytes:
    """A text frame that says it is that long, without its body."""
    return b"\x81\xff" + struct.pack("!Q", size) + os.urandom(4)


class Raw:
    """A TCP connection after the handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer
        self._socket = WebSocket(client=True)
        self._messages: list[bytes] = []

    @classmethod
    async def open(cls, server: Server, *handshake_arguments: str) -> Raw:
        raw = cls(*await server.raw(handshake(*handshake_arguments)))
        head = await raw.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return raw

    async def receive(self) -> Any:
        async with asyncio.timeout(5):
            while not self._messages:
                data = await self.reader.read(65536)
                assert data, "the server closed the connection"
                messages, out = self._socket.receive(data)
                self._messages += messages
                self.writer.write(out)
            return json.loads(self._messages.pop(0))

    async def ask(self, message: Any) -> Any:
        self.writer.write(framed(message))
        return await self.receive()

    async def closed(self) -> int:
        """The code of the close frame, 1006 where none came."""
        async with asyncio.timeout(5):
            while data := await self._read():
                messages, _ = self._socket.receive(data)
                self._messages += messages
        return self._socket.closed.code if self._socket.closed else 1006

    async def _read(self) -> bytes:
        try:
            return await self.reader.read(65536)
        except ConnectionError:
            return b""


async def answer_to(server: Server, request: bytes) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the HTTP answer."""
    reader, _ = await server.raw(request)
    async with asyncio.timeout(5):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


def basic(name: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
