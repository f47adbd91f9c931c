"""RFC 6455 and 7692 as a table: the same bytes to our server and to one of the `websockets` package, the same outcome.

An outcome is: which messages were delivered, which pings answered, and how it ended: the code of the close frame,
"open", or "tcp" for an end without one. Where ours differs, the table says why.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Close, Opcode
from websockets.protocol import CLIENT, Protocol

from csms.ocpp.websocket import CLOSE, MAX_FRAGMENTS, PING, PONG, TEXT
from tests.gateway.wire import handshake
from tests.ocpp.test_websocket import deflated, frame

BEGIN, MORE, END, BINARY, RSV1 = 0x01, 0x00, 0x80, 0x82, 0x40
LIMIT = 256 << 10
DEFLATE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def call(name: str, size: int = 0) -> bytes:
    """A call with this id, at least `size` bytes long."""
    message = json.dumps([2, name, "Heartbeat", {}], ensure_ascii=False).encode()
    return message + b" " * (size - len(message))


def text(name: str, size: int = 0) -> bytes:
    return frame(call(name, size))


def fragments(message: bytes, *cuts: int, rsv: int = 0) -> list[bytes]:
    edges = [0, *cuts, len(message)]
    parts = [message[start:stop] for start, stop in pairwise(edges)]
    firsts = [BEGIN | rsv, *[MORE] * (len(parts) - 2), END]
    return [frame(part, first) for part, first in zip(parts, firsts, strict=True)]


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(code.to_bytes(2, "big") + reason, CLOSE)


def compressed(message: bytes, first: int = TEXT) -> bytes:
    return frame(deflated(message), first | RSV1)


class Row(NamedTuple):
    """One line of the table. `why`: ours ends with `ours` instead, for that reason."""

    name: str
    data: bytes
    deflate: bool = False
    eof: bool = False
    ours: Any = None
    why: str = ""


SPLIT = call("ä€😀")
IN_UMLAUT, IN_EMOJI = SPLIT.index("ä".encode()) + 1, SPLIT.index("😀".encode()) + 2
WINDOW = zlib.compressobj(wbits=-9)
SMALL_WINDOW = WINDOW.compress(call("a") * 1) + WINDOW.flush(zlib.Z_SYNC_FLUSH)
SHARED = zlib.compressobj(wbits=-15)
FIRST_SHARED, SECOND_SHARED = (SHARED.compress(call("context")) + SHARED.flush(zlib.Z_SYNC_FLUSH) for _ in range(2))

ROWS = [
    # Messages and their lengths.
    Row("a message", text("a")),
    Row("many messages", b"".join(text(str(number)) for number in range(50))),
    *(Row(f"a message of {size} bytes", text("a", size)) for size in (125, 126, 127, 128, 65535, 65536, LIMIT)),
    Row("a length in more bytes than needed", b"\x81\xfe\x00\x16" + text("a")[2:6] + text("a")[6:]),
    Row("an empty message", frame(b"")),
    Row("one byte too large", text("a", LIMIT + 1)),
    Row("too large by its header", frame(b"", size=1 << 40)[:14]),
    Row("the top bit of the length", b"\x81\xff\xff" + b"\xff" * 7 + b"mask"),
    Row("binary", frame(call("a"), BINARY), ours=([], [], 1003), why="OCPP-J messages are text"),
    # Fragments.
    Row("two fragments", b"".join(fragments(call("a"), 5))),
    Row("many fragments", b"".join(fragments(call("a"), *range(1, 20)))),
    Row("empty fragments", frame(b"", BEGIN) + frame(b"", MORE) + frame(call("a"), MORE) + frame(b"", END)),
    Row("an empty message in fragments", frame(b"", BEGIN) + frame(b"", END)),
    Row("two messages in fragments", b"".join(fragments(call("a"), 5) + fragments(call("b"), 7))),
    Row("a ping between fragments", frame(b"p", PING).join(fragments(call("a"), 5, 9))),
    Row("a pong between fragments", frame(b"p", PONG).join(fragments(call("a"), 5, 9))),
    Row("a close between fragments", close(1000).join(fragments(call("a"), 5))),
    Row("a text between fragments", text("b").join(fragments(call("a"), 5))),
    Row("a beginning between fragments", frame(b"[", BEGIN).join(fragments(call("a"), 5))),
    Row("binary between fragments", frame(b"b", BINARY).join(fragments(call("a"), 5))),
    Row("a reserved bit between fragments", frame(b"b", MORE | RSV1).join(fragments(call("a"), 5))),
    Row("an unmasked fragment", frame(b"b", MORE, masked=False).join(fragments(call("a"), 5))),
    Row("a ping too long between fragments", frame(b"p" * 126, PING).join(fragments(call("a"), 5))),
    Row("a continuation of nothing", frame(b"x", END)),
    Row("a continuation of nothing that goes on", frame(b"x", MORE)),
    Row("a continuation after a whole message", text("a") + frame(b"x", END)),
    Row("too large in fragments", b"".join(fragments(call("a", LIMIT + 1), LIMIT // 2))),
    Row("as large as may be in fragments", b"".join(fragments(call("a", LIMIT), 1000, LIMIT // 2))),
    Row("a fragment too large by its header", frame(b"[2,", BEGIN) + frame(b"", MORE, size=1 << 40)[:14]),
    Row("very many fragments", frame(b"", BEGIN) + frame(b"", MORE) * MAX_FRAGMENTS + frame(call("a"), END),
        ours=([], [], 1009), why="each costs time and memory: bounded in number, too (N5)"),
    # Control frames.
    Row("a ping", frame(b"", PING)),
    Row("pings with words, up to 125 bytes", frame(b"are you there", PING) + frame(b"x" * 125, PING)),
    Row("pings and messages", frame(b"1", PING) + text("a") + frame(b"2", PING)),
    Row("a pong nobody asked for", frame(b"x", PONG)),
    Row("a ping too long", frame(b"x" * 126, PING)),
    Row("a pong too long", frame(b"x" * 126, PONG)),
    Row("a ping in fragments", frame(b"x", 0x09)),
    Row("a pong in fragments", frame(b"x", 0x0A)),
    Row("a close in fragments", frame(b"\x03\xe8", 0x08)),
    # Reserved bits and opcodes, masks.
    *(Row(f"reserved bit {bit:#04x}", frame(call("a"), TEXT | bit)) for bit in (0x40, 0x20, 0x10, 0x70)),
    *(Row(f"reserved bit {bit:#04x} on a ping", frame(b"", PING | bit)) for bit in (0x40, 0x20, 0x10)),
    *(Row(f"reserved opcode {code:#x}", text("a") + frame(b"", 0x80 | code)) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    *(Row(f"reserved opcode {code:#x} in fragments", frame(b"x", code)) for code in (3, 11)),
    Row("unmasked", frame(call("a"), masked=False)),
    Row("an unmasked ping", frame(b"", PING, masked=False)),
    Row("an unmasked close", frame(b"\x03\xe8", CLOSE, masked=False)),
    Row("a mask of zeros", b"\x81" + bytes([0x80 | len(call("a"))]) + bytes(4) + call("a")),
    # UTF-8.
    *(Row(f"UTF-8: {name}", frame(data)) for name, data in {
        "a lone continuation": b"\x80", "an overlong slash": b"\xc0\xaf", "a surrogate": b"\xed\xa0\x80",
        "beyond Unicode": b"\xf4\x90\x80\x80", "an open end": b"\xe2\x82", "a byte that never is": b"\xfe",
    }.items()),
    Row("UTF-8 of every width", frame(SPLIT)),
    Row("UTF-8 split within a character", b"".join(fragments(SPLIT, IN_UMLAUT))),
    Row("UTF-8 split within two", b"".join(fragments(SPLIT, IN_UMLAUT, IN_EMOJI, IN_EMOJI + 1))),
    Row("UTF-8 split by a ping", frame(b"p", PING).join(fragments(SPLIT, IN_UMLAUT))),
    Row("UTF-8 broken over fragments", frame(b"\xe2", BEGIN) + frame(b"\x28\xa1", END)),
    # Closing.
    Row("a close without a code", frame(b"", CLOSE)),
    Row("a close of one byte", frame(b"\x03", CLOSE)),
    *(Row(f"close {code}", close(code)) for code in
      (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)),
    *(Row(f"close {code}, which must not be sent", close(code)) for code in
      (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)),
    Row("a close with a reason", close(1000, "auf Wiedersehen, ä€😀".encode())),
    Row("a close with a reason as long as may be", close(1000, b"x" * 123)),
    Row("a close too long", close(1000, b"x" * 124)),
    Row("a close with a reason that is no UTF-8", close(1000, b"\xce\xba\xff")),
    Row("a message, then a close", text("a") + close(1000)),
    Row("a close, then a message", close(1000) + text("a")),
    Row("a close, then a ping", close(1000) + frame(b"p", PING)),
    Row("a close, then another", close(1000) + close(1001)),
    Row("a close, then rubbish", close(1000) + b"\xff" * 100),
    Row("a violation, then a message", frame(b"", 0x83) + text("a")),
    # The end of TCP.
    Row("the end between messages", text("a"), eof=True),
    Row("the end within a header", text("a") + b"\x81", eof=True),
    Row("the end within a frame", text("a") + text("b")[:-3], eof=True),
    Row("the end within fragments", frame(b"[2,", BEGIN), eof=True),
    # Compression.
    Row("compressed", compressed(call("a")), deflate=True),
    Row("uncompressed where compression was agreed", text("a"), deflate=True),
    Row("compressed and not, in turn", compressed(call("a")) + text("b") + compressed(call("c")), deflate=True),
    Row("compressed without agreement", compressed(call("a"))),
    Row("compressed fragments", b"".join(fragments(deflated(call("a")), 5, 9, rsv=RSV1)), deflate=True),
    Row("compressed fragments and pings", frame(b"p", PING).join(fragments(deflated(call("a")), 5, rsv=RSV1)), deflate=True),
    Row("uncompressed fragments where compression was agreed", b"".join(fragments(call("a"), 5)), deflate=True),
    Row("the bit on a later fragment", frame(b"[", BEGIN) + frame(b"x", END | RSV1), deflate=True),
    Row("the bit on every fragment",
        frame(deflated(call("a"))[:5], BEGIN | RSV1) + frame(deflated(call("a"))[5:], END | RSV1), deflate=True),
    Row("the bit on a ping", frame(b"", PING | RSV1), deflate=True),
    Row("the bit on a close", frame(b"\x03\xe8", CLOSE | RSV1), deflate=True),
    Row("another bit", frame(deflated(call("a")), TEXT | RSV1 | 0x20), deflate=True),
    Row("what is no deflate data", frame(b"\xff\xff\xff\xff rubbish", TEXT | RSV1), deflate=True),
    Row("half of the deflate data", frame(deflated(call("a", 3000))[:10], TEXT | RSV1), deflate=True),
    Row("an empty compressed message", frame(b"\x00", TEXT | RSV1), deflate=True),
    Row("no data at all with the bit", frame(b"", TEXT | RSV1), deflate=True),
    Row("an uncompressed block", frame(b"\x00" + len(call("a")).to_bytes(2, "little")
        + (0xFFFF - len(call("a"))).to_bytes(2, "little") + call("a") + b"\x00", TEXT | RSV1), deflate=True),
    Row("a smaller window", frame(SMALL_WINDOW.removesuffix(b"\0\0\xff\xff"), TEXT | RSV1), deflate=True),
    Row("context taken over against the agreement", frame(FIRST_SHARED.removesuffix(b"\0\0\xff\xff"), TEXT | RSV1)
        + frame(SECOND_SHARED.removesuffix(b"\0\0\xff\xff"), TEXT | RSV1), deflate=True),
    Row("compressed, as large as may be", compressed(call("a", LIMIT)), deflate=True),
    Row("compressed, one byte too large", compressed(call("a", LIMIT + 1)), deflate=True),
    Row("a bomb", compressed(b"\0" * (32 << 20)), deflate=True),
    Row("a bomb in fragments", b"".join(fragments(deflated(b"\0" * (32 << 20)), 3000, rsv=RSV1)), deflate=True),
    Row("compressed, no UTF-8", compressed(b"\xff\xfe"), deflate=True),
    Row("compressed binary", compressed(call("a"), BINARY), deflate=True, ours=([], [], 1003), why="OCPP-J messages are text"),
]  # fmt: skip

OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits",
    'permessage-deflate; client_max_window_bits="12"',
    "permessage-deflate; client_max_window_bits=banana",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; unknown_parameter",
    "permessage-deflate; unknown, permessage-deflate",
    "permessage-deflate, permessage-deflate; server_max_window_bits=10",
    "x-webkit-deflate-frame",
    "x-webkit-deflate-frame, permessage-deflate",
    "PerMessage-Deflate",
    "permessage-deflate;",
    ";",
    "",
    "permessage-deflate\r\nSec-WebSocket-Extensions: x",
    "x\r\nSec-WebSocket-Extensions: permessage-deflate",
]


@dataclass
class Heard:
    """What came of the bytes of a row."""

    answers: list[str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    end: Any = "tcp"


class Package:
    """A server of the `websockets` package with our limits; it remembers what was delivered to it."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.port = 0

    async def __call__(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in connection:
                name = named(message)
                self.delivered.append(name)
                await connection.send(json.dumps([3, name, {}]))


def named(message: str | bytes) -> str:
    try:
        return json.loads(message)[1]
    except ValueError:
        return "-1"


@pytest.fixture
async def package() -> AsyncIterator[Package]:
    handler = Package()
    deflate = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
    async with serve(
        handler, "127.0.0.1", 0, subprotocols=["ocpp1.6"], extensions=[deflate], compression=None, max_size=LIMIT,
        ping_interval=None, close_timeout=1,
    ) as server:  # fmt: skip
        handler.port = server.sockets[0].getsockname()[1]
        yield handler


async def opened(port: int, offer: str | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    more = [f"Sec-WebSocket-Extensions: {offer}"] if offer is not None else []
    writer.write(handshake("/ocpp/CS-1", "ocpp1.6", *more))
    return reader, writer, (await reader.readuntil(b"\r\n\r\n")).decode()


async def heard(port: int, row: Row, step: int | None) -> Heard:
    """Say the row's bytes, then ask whether anybody still listens; take what comes until it is answered or all ends."""
    async with asyncio.timeout(10):
        reader, writer, head = await opened(port, DEFLATE if row.deflate else None)
        assert head.startswith("HTTP/1.1 101"), head
        result, core = Heard(), Protocol(CLIENT, max_size=None)
        core.extensions = [PerMessageDeflate(True, True, 15, 15)] if row.deflate else []
        writer.write(text("hello"))
        while "hello" not in result.answers:
            take(await reader.read(65536), core, result)
        data = row.data + (b"" if row.eof else text("probe"))
        with suppress(ConnectionError):
            for start in range(0, len(data), step or len(data)):
                writer.write(data[start : start + (step or len(data))])
                await asyncio.sleep(0)
            if row.eof:
                writer.write_eof()
            while "probe" not in result.answers and (got := await reader.read(65536)):
                take(got, core, result)
        writer.close()
    if "probe" in result.answers:
        result.end = "open"
    result.answers = [name for name in result.answers if name not in ("hello", "probe")]
    return result


def take(data: bytes, core: Protocol, result: Heard) -> None:
    core.receive_data(data)
    for event in core.events_received():
        match event.opcode:
            case Opcode.TEXT:
                result.answers.append(json.loads(event.data)[1])
            case Opcode.PONG:
                result.pongs.append(bytes(event.data))
            case Opcode.CLOSE:
                result.end = Close.parse(event.data).code


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_same_bytes_have_the_same_outcome(quick, package, row):
    for step in (None, 5) if len(row.data) < 2000 else (None,):
        theirs = await heard(package.port, row, step)
        delivered = [name for name in package.delivered if name not in ("hello", "probe")]
        package.delivered.clear()
        ours = await heard(quick.gateway.port, row, step)
        expected = row.ours or (delivered, theirs.pongs, theirs.end)
        assert (ours.answers, ours.pongs, ours.end) == expected, f"in pieces of {step}"
        assert not row.ours or (delivered, theirs.pongs, theirs.end) != row.ours, "no difference after all"


def test_each_difference_has_its_reason():
    assert all(bool(row.ours) == bool(row.why) for row in ROWS)


@pytest.mark.parametrize("offer", OFFERS)
async def test_same_offer_of_compression_has_the_same_answer(quick, package, offer):
    answers = []
    for port in (package.port, quick.gateway.port):
        _, writer, head = await opened(port, offer)
        lines = head.split("\r\n")
        agreed = [line.lower() for line in lines if line.lower().startswith("sec-websocket-extensions")]
        answers.append((lines[0].split()[1], agreed))
        writer.close()
    assert answers[0] == answers[1]


@pytest.mark.parametrize("offer", [offer for offer in OFFERS if offer.startswith("permessage-deflate; ")])
async def test_T75_whatever_was_agreed_is_spoken(quick, offer):
    _, writer, head = await opened(quick.gateway.port, offer)
    if "permessage-deflate" in head:
        core, result = Protocol(CLIENT), Heard()
        core.extensions = [PerMessageDeflate(True, True, 15, 15)]
        writer.write(compressed(call("a")) + text("b"))
        async with asyncio.timeout(5):
            while result.answers != ["a", "b"]:
                take(await _.read(65536), core, result)
    writer.close()
