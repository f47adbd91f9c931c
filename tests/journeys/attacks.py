"""What bad neighbours do to a server: each attack runs in a process of its own and tells in JSON what came of it.

`python -m tests.journeys.attacks NAME PORT NUMBER SECONDS`: so many attackers, for at most so long.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from time import monotonic

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from csms.ocpp.websocket import WebSocket
from tests.gateway.wire import framed, handshake

HEARTBEAT = framed([2, "1", "Heartbeat", {}])
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
Told = dict[str, float | str | dict[str, int]]


def address(number: int) -> str:
    """One of some thousand addresses of this machine: attackers come from everywhere."""
    return f"127.1.{number // 250 % 16}.{number % 250 + 1}"


class Attacker:
    """A bare socket; what it hears is thrown away, but for how the conversation ended."""

    def __init__(self, number: int, identity: str = "BAD"):
        self.number, self.identity = number, f"{identity}-{number}"
        self.end: int | str = "open"

    async def open(self, port: int, *more: str, upgrade: bool = True, receive: int | None = None) -> Attacker:
        bare = socket.socket()
        if receive is not None:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        bare.bind((address(self.number), 0))
        bare.setblocking(False)
        await asyncio.get_running_loop().sock_connect(bare, ("127.0.0.1", port))
        self.reader, self.writer = await asyncio.open_connection(sock=bare, limit=1 << 12 if receive else 1 << 16)
        if upgrade:
            self.writer.write(handshake(f"/ocpp/{self.identity}", "ocpp1.6", *more))
            head = await self.reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in head:
                self.end = head.split()[1].decode()
                self.close()
        return self

    async def pour(self, data: bytes, until: float) -> int:
        """Send without end, as fast as it is taken; how many bytes were."""
        poured = 0
        with suppress(ConnectionError, TimeoutError):
            while monotonic() < until and not self.reader.at_eof():
                self.writer.write(data)
                async with asyncio.timeout(max(0.1, until - monotonic())):
                    await self.writer.drain()
                poured += len(data)
        return poured

    async def hear(self) -> None:
        """Read to the end; the close code, 1006 where none came."""
        client = WebSocket(client=True)
        with suppress(ConnectionError):
            while data := await self.reader.read(65536):
                client.receive(data)
        self.end = client.closed.code if client.closed else 1006

    def close(self) -> None:
        self.writer.close()


async def slow_handshakes(port: int, number: int, seconds: float) -> Told:
    """N3: one byte now and then, for ever."""
    lived: list[float] = []

    async def drip(which: int) -> None:
        began = monotonic()
        with suppress(OSError):
            attacker = await Attacker(which).open(port, upgrade=False)
            for byte in handshake("/ocpp/" + "x" * 2000):
                if monotonic() - began > seconds or attacker.writer.transport.is_closing():
                    break  # Closing: whether the server ended it with a FIN or, bytes being unread, with a reset.
                attacker.writer.write(bytes([byte]))
                await asyncio.sleep(0.5)
            attacker.close()
        lived.append(monotonic() - began)

    await asyncio.gather(*(drip(which) for which in range(number)))
    return {"handshakes": number, "longest_s": round(max(lived), 1), "outlived": sum(each > seconds for each in lived)}


async def silent_sockets(port: int, number: int, seconds: float) -> Told:
    """N13: sockets that say nothing, from one address and from many, opened anew as soon as they are closed."""
    opened, refused, until = Counter[str](), Counter[str](), monotonic() + seconds

    async def hold(which: int) -> None:
        place = 0 if which % 2 else which  # Half of them come from one address.
        while monotonic() < until:
            try:
                async with asyncio.timeout(max(0.01, until - monotonic())):
                    attacker = await Attacker(place).open(port, upgrade=False)
                    opened["one" if which % 2 else "many"] += 1
                    with suppress(ConnectionError):
                        await attacker.reader.read(1)
                    attacker.close()
            except (OSError, TimeoutError) as error:
                refused[type(error).__name__] += 1
            await asyncio.sleep(0.01)

    await asyncio.gather(*(hold(which) for which in range(number)))
    return {"opened": dict(opened), "refused": dict(refused)}


async def floods(port: int, number: int, seconds: float) -> Told:
    """N12: calls without end, and without waiting for answers."""
    ends, until = Counter[str](), monotonic() + seconds

    async def flood(which: int) -> int:
        attacker = await Attacker(which, "FLOOD").open(port)
        listening = asyncio.create_task(attacker.hear())
        poured = await attacker.pour(HEARTBEAT * 500, until)
        await asyncio.wait({listening}, timeout=1)
        ends[str(attacker.end)] += 1
        attacker.close()
        return poured

    poured = await asyncio.gather(*(flood(which) for which in range(number)))
    return {"floods": number, "calls_taken": sum(poured) // len(HEARTBEAT), "ends": dict(ends)}


async def flapping(port: int, number: int, seconds: float) -> Told:
    """N9: stations that connect five times a second."""
    ends, until = Counter[str](), monotonic() + seconds

    async def flap(which: int) -> None:
        while monotonic() < until:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                attacker = await Attacker(which, "FLAP").open(port)
                ends[str(attacker.end)] += 1
                attacker.close()
            await asyncio.sleep(0.2)

    await asyncio.gather(*(flap(which) for which in range(number)))
    return {"flapping": number, "ends": dict(ends)}


async def slow_readers(port: int, number: int, seconds: float) -> Told:
    """N7: stations that ask and never read the answers."""
    until = monotonic() + seconds

    async def ask(which: int) -> int:
        attacker = await Attacker(which, "DEAF").open(port, receive=2048)
        return await attacker.pour(HEARTBEAT * 200, until)

    poured = await asyncio.gather(*(ask(which) for which in range(number)))
    return {"readers": number, "calls_taken": sum(poured) // len(HEARTBEAT)}


def _header(size: int) -> bytes:
    return b"\x81\xff" + struct.pack("!Q", size) + b"mask"


def _bomb() -> bytes:
    """64 MiB in 64 KiB."""
    return Frame(Opcode.TEXT, b" " * (64 << 20)).serialize(
        mask=True, extensions=[PerMessageDeflate(True, True, 15, 15)]
    )


def _beginnings() -> list[bytes]:
    fragment = framed(b"x", opcode=Opcode.CONT, fin=False)
    return [
        _header(1 << 20) + bytes(1 << 20), _header(64 << 20), _header(1 << 62)[:9], _header(2**63 - 1),
        framed(b"[", fin=False) + fragment * 100_000,
        framed(b"[", fin=False) + (fragment + framed(b"ping", opcode=Opcode.PING)) * 3_000,
        _bomb(), framed(b"[" * 200_000),
    ]  # fmt: skip


async def oversized(port: int, number: int, seconds: float) -> Told:
    """N4, N5, N6: messages that are too large by their header, by their fragments, or once they are inflated."""
    ends, beginnings = Counter[str](), _beginnings()

    async def begin(which: int, data: bytes) -> None:
        attacker = await Attacker(which, "HUGE").open(port, DEFLATE)
        listening = asyncio.create_task(attacker.hear())
        until = monotonic() + seconds
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(seconds):
                for start in range(0, len(data), 16384):
                    attacker.writer.write(data[start : start + 16384])
                    await attacker.writer.drain()
        await attacker.pour(bytes(65536), until)
        await asyncio.wait({listening}, timeout=1)
        ends[str(attacker.end)] += 1
        attacker.close()

    await asyncio.gather(
        *(begin(which, data) for which, data in zip(range(number), _forever(beginnings), strict=False))
    )
    return {"messages": number, "ends": dict(ends)}


def _forever(values: list[bytes]):
    return (values[which % len(values)] for which in count())


ATTACKS: dict[str, Callable[[int, int, float], Awaitable[Told]]] = {
    "slow_handshakes": slow_handshakes, "silent_sockets": silent_sockets, "floods": floods, "flapping": flapping,
    "slow_readers": slow_readers, "oversized": oversized,
}  # fmt: skip

if __name__ == "__main__":
    name, port, number, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(ATTACKS[name](int(port), int(number), float(seconds)))))
