"""WebSocket bytes: the short path, the core behind it, and the `websockets` package as the judge of both."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol

from csms.ocpp.websocket import CLOSE, MAX_FRAGMENTS, PING, PONG, TEXT, WebSocket

CONT, BINARY = 0x80, 0x82
MASK = b"\x01\x02\x03\x04"

# A few cases on every run, always the same ones; many and new ones when asked for.
EXAMPLES = os.environ.get("CSMS_FUZZ_EXAMPLES")
few_or_many = settings(max_examples=int(EXAMPLES or 15), derandomize=not EXAMPLES)


def frame(payload: bytes, first: int = TEXT, *, masked: bool = True, size: int | None = None) -> bytes:
    """The bytes of one frame, built by hand; `size` may lie."""
    size = len(payload) if size is None else size
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    mask = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    return head + MASK + (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(len(payload))


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """First bytes and payloads of the unmasked frames a server sent."""
    found = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def close_code(data: bytes) -> int:
    first, payload = frames_in(data)[-1]
    assert first == CLOSE
    return int.from_bytes(payload[:2], "big")


@pytest.fixture
def server() -> WebSocket:
    return WebSocket(max_size=100_000)


SIZES = [0, 1, 125, 126, 127, 65535, 65536, 99_999]


@pytest.mark.parametrize("size", SIZES)
def test_text_of_every_size_of_header_goes_both_ways(size):
    client, server = WebSocket(client=True), WebSocket()
    payload = b"x" * size

    assert server.receive(client.frame(payload)) == ([payload], b"")
    assert client.receive(server.frame(payload)) == ([payload], b"")


@pytest.mark.parametrize("size", [0, 5, 126, 70_000])
def test_bytes_may_come_one_at_a_time(server, size):
    payload = "ä".encode() * (size // 2)
    data = frame(payload) + frame(b"next")
    messages = []
    step = 1 if size < 1000 else 997
    for start in range(0, len(data), step):
        got, out = server.receive(data[start : start + step])
        messages += got
        assert out == b""

    assert messages == [payload, b"next"]


def test_many_messages_may_come_at_once(server):
    assert server.receive(frame(b"one") + frame(b"two") + frame(b"three")[:4]) == ([b"one", b"two"], b"")
    assert server.receive(frame(b"three")[4:]) == ([b"three"], b"")


def test_a_client_masks_each_frame_anew_and_a_server_never():
    client = WebSocket(client=True)

    assert client.frame(b"same") != client.frame(b"same")
    assert WebSocket().frame(b"same") == b"\x81\x04same"


def test_a_ping_is_answered_with_its_own_words(server):
    messages, out = server.receive(frame(b"are you there", PING))

    assert messages == []
    assert frames_in(out) == [(PONG, b"are you there")]


def test_a_pong_is_taken_without_a_word(server):
    assert server.receive(frame(b"yes", PONG) + frame(b"text")) == ([b"text"], b"")


def test_fragments_are_put_together(server):
    assert server.receive(frame(b"[2,", 0x01)) == ([], b"")
    assert server.receive(frame(b'"1",', 0x00)) == ([], b"")
    assert server.receive(frame(b"...]", CONT)) == ([b'[2,"1",...]'], b"")
    assert server.receive(frame(b"whole again")) == ([b"whole again"], b"")


def test_control_frames_may_come_between_fragments(server):
    messages, out = server.receive(
        frame(b"a", 0x01) + frame(b"ping", PING) + frame(b"b", 0x00) + frame(b"", PONG) + frame(b"c", CONT)
    )

    assert messages == [b"abc"]
    assert frames_in(out) == [(PONG, b"ping")]


def test_a_character_may_be_split_between_fragments(server):
    first, second = "ä".encode()[:1], "ä".encode()[1:]

    assert server.receive(frame(first, 0x01) + frame(second, CONT)) == (["ä".encode()], b"")


@pytest.mark.parametrize(
    ("what", "data", "code"),
    [
        ("unmasked", frame(b"hi", masked=False), 1002),
        ("a reserved bit", frame(b"hi", TEXT | 0x20), 1002),
        ("compressed without agreement", frame(b"hi", TEXT | 0x40), 1002),
        ("a reserved opcode", frame(b"hi", 0x83), 1002),
        ("a continuation of nothing", frame(b"hi", CONT), 1002),
        ("a new message inside fragments", frame(b"hi", 0x01) + frame(b"new"), 1002),
        ("a fragmented ping", frame(b"hi", 0x09), 1002),
        ("a ping too long", frame(b"p" * 126, PING), 1002),
        ("a pong too long", frame(b"p" * 126, PONG), 1002),
        ("invalid UTF-8", frame(b"\xc3\x28"), 1007),
        ("invalid UTF-8 in fragments", frame(b"\xc3", 0x01) + frame(b"\x28", CONT), 1007),
        ("too large", frame(b"x" * 100_001), 1009),
        ("too large by its header alone", frame(b"", size=100_001)[:14], 1009),
        ("enormous by its header alone", frame(b"", size=1 << 62), 1009),
        ("too large in fragments", frame(b"x" * 60_000, 0x01) + frame(b"x" * 60_000, CONT), 1009),
        ("binary", frame(b"hi", BINARY), 1003),
    ],
)
def test_a_violation_ends_the_conversation_with_its_code(server, what, data, code):
    messages, out = server.receive(frame(b"before") + data + frame(b"after"))

    assert messages == [b"before"], what
    assert close_code(out) == code, what
    assert server.closed.code == code
    assert server.receive(frame(b"later still")) == ([], b"")


def test_endless_fragments_are_not_collected_for_ever(server):
    empty = frame(b"", 0x00)
    server.receive(frame(b"", 0x01) + empty * (MAX_FRAGMENTS - 1))
    assert server.closed is None

    _, out = server.receive(empty)
    assert close_code(out) == 1009


@pytest.mark.parametrize("code", [1000, 1001, 1012, 3000])
def test_a_close_is_echoed_and_remembered(server, code):
    _, out = server.receive(frame(Close(code, "bye").serialize(), CLOSE))

    assert close_code(out) == code
    assert server.closed.code == code


def test_a_close_without_a_code_is_echoed(server):
    _, out = server.receive(frame(b"", CLOSE))

    assert frames_in(out) == [(CLOSE, b"")]
    assert server.closed.code == 1005


def test_closing_sends_a_close_frame_once(server):
    assert close_code(server.close(1012, "restart")) == 1012
    assert server.close(1012) == b""
    assert (server.closed.code, server.closed.reason) == (1012, "restart")


@pytest.mark.parametrize("cut", range(1, 14))
def test_N4_size_that_comes_in_pieces_is_refused_before_the_body_is_kept(cut):
    """Half of a size must not be taken for it: it may say that more is to come than fits into memory."""
    server = WebSocket(max_size=1000)
    head = struct.pack("!BBQ", TEXT, 0xFF, 2**62) + MASK
    server.receive(head[:cut])
    server.receive(head[cut:] + b"x" * 50)
    assert server.closed is not None and server.closed.code == 1009


@few_or_many
@given(
    st.lists(st.sampled_from([frame(b"a"), frame(b"p", PING), frame(b"q", PONG), frame(b"b", 0x01), frame(b"c", CONT)]))
)
def test_N12_what_is_taken_in_portions_is_what_is_taken_at_once(parts):
    data, whole, portions = b"".join(parts), WebSocket(), WebSocket()
    expected, (messages, out) = whole.receive(data), portions.receive(data, 1)
    while portions.more:
        got, answer = portions.receive(b"", 1)
        assert len(got) <= 1 and portions.others <= 8
        messages, out = messages + got, out + answer
    assert ((messages, out), portions.closed) == (expected, whole.closed)


def test_a_client_refuses_what_a_server_masked():
    client = WebSocket(client=True)
    client.receive(frame(b"masked"))

    assert client.closed.code == 1002


# -- permessage-deflate --------------------


def deflated(payload: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.fixture
def inflating() -> WebSocket:
    return WebSocket(deflate=True, max_size=100_000)


def test_a_compressed_message_is_inflated(inflating):
    payload = b'[2,"1","Heartbeat",{}]' * 50

    assert inflating.receive(frame(deflated(payload), TEXT | 0x40)) == ([payload], b"")
    assert inflating.receive(frame(deflated(payload), TEXT | 0x40)) == ([payload], b"")  # No window is kept.
    assert inflating.receive(frame(b"plain")) == ([b"plain"], b"")


def test_a_compressed_message_may_be_fragmented(inflating):
    payload = os.urandom(500).hex().encode()
    packed = deflated(payload)

    got = inflating.receive(frame(packed[:100], 0x41) + frame(packed[100:], CONT))
    assert got == ([payload], b"")


def test_a_bomb_is_refused_while_it_inflates(inflating):
    bomb = deflated(b"\0" * 10_000_000)
    assert len(bomb) < 100_000

    messages, out = inflating.receive(frame(bomb, TEXT | 0x40))
    assert messages == []
    assert close_code(out) == 1009


def test_a_compressed_message_that_is_no_utf8_is_refused(inflating):
    _, out = inflating.receive(frame(deflated(b"\xff\xff"), TEXT | 0x40))

    assert close_code(out) == 1007


# -- the judge: the same bytes through the `websockets` package --------------------


@dataclass
class Judge:
    """What the `websockets` core makes of bytes: whole messages, what it answers, and its close code."""

    messages: list[bytes]
    out: bytes
    code: int | None


def judged(data: bytes, *, deflate: bool = False) -> Judge:
    core = Protocol(SERVER, max_size=100_000)
    if deflate:
        core.extensions = [PerMessageDeflate(True, True, 15, 15)]
    core.receive_data(data)
    messages, parts = [], b""
    for event in core.events_received():
        if event.opcode in (Opcode.TEXT, Opcode.CONT):
            parts += bytes(event.data)
            if event.fin:
                messages.append(parts)
                parts = b""
    out = b"".join(core.data_to_send())
    close = None if core.state is OPEN else (core.close_sent or core.close_rcvd)
    return Judge(messages, out, close.code if close else None)


# Of every size of header, and quickly drawn: a few characters, repeated.
texts = st.builds(lambda text, times: (text * times).encode(), st.text(max_size=10), st.sampled_from([1, 7, 60]))
pieces = st.one_of(
    texts.map(frame),
    texts.map(lambda data: frame(data, 0x01)),
    texts.map(lambda data: frame(data, 0x00)),
    texts.map(lambda data: frame(data, CONT)),
    st.binary(max_size=130).map(lambda data: frame(data, PING)),
    st.binary(max_size=130).map(lambda data: frame(data, PONG)),
    texts.map(lambda data: frame(data, masked=False)),
    st.sampled_from([frame(b"", CLOSE), frame(b"\x03\xe8", CLOSE), frame(b"x", CLOSE), frame(b"x", 0x83)]),
    texts.filter(bool).map(lambda data: frame(deflated(data), TEXT | 0x40)),
)


@few_or_many
@given(st.lists(pieces, max_size=8), st.booleans(), st.integers(1, 60))
def test_the_websockets_package_makes_the_same_of_the_same_bytes(parts, deflate, step):
    data = b"".join(parts)
    judge = judged(data, deflate=deflate)
    ours = WebSocket(deflate=deflate, max_size=100_000)
    messages, out = [], b""
    for start in range(0, len(data), step):
        got, answer = ours.receive(data[start : start + step])
        messages += got
        out += answer

    assert messages == judge.messages
    assert (ours.closed.code if ours.closed else None) == judge.code
    assert out == judge.out


@few_or_many
@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_whatever_raise(data, step):
    ours = WebSocket(max_size=1000)
    for start in range(0, len(data), step):
        ours.receive(data[start : start + step])


@few_or_many
@given(texts)
def test_what_our_client_sends_the_judge_reads_and_the_other_way(payload):
    assert judged(WebSocket(client=True).frame(payload)).messages == [payload]

    core = Protocol(CLIENT)
    core.receive_data(WebSocket().frame(payload))
    [event] = core.events_received()
    assert event == Frame(Opcode.TEXT, payload)
