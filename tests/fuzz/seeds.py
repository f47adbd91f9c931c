"""Inputs to begin with: sound ones of every kind, from which the fuzzer finds its way."""

from __future__ import annotations

import json
import struct
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csms.ocpp.catalogue import Action
from tests.fuzz.targets import INCOMING, VERSIONS
from tests.gateway.wire import framed, handshake
from tests.schema_strategy import valid

_FRAMES: list[list[Any]] = [
    [2, "1", "Heartbeat", {}], [3, "1", {"status": "Accepted"}], [4, "1", "InternalError", "why", {}],
    [5, "1", "InternalError", "why", {}], [6, "1", "NotifyPeriodicEventStream", {}], [7, "1"], [2, 1, "A", {}],
]  # fmt: skip


def seeds(target: str) -> list[bytes]:
    return {"frames": _frames, "websocket": _websocket, "handshake": _handshakes, "messages": _messages}[target]()


def _frames() -> list[bytes]:
    return [bytes([number]) + json.dumps(frame).encode() for number in range(len(VERSIONS)) for frame in _FRAMES]


def _websocket() -> list[bytes]:
    texts = [framed(b"[]"), framed(b"[", fin=False) + framed(b"]", opcode=0), framed("é漢😀".encode())]  # type: ignore[arg-type]
    control = [framed(b"", opcode=opcode) for opcode in (8, 9, 10)]  # type: ignore[arg-type]
    long = [framed(b"x" * size) for size in (126, 500, 600)] + [struct.pack("!BBQ", 0x81, 0xFF, 2**62)]
    packed = bytes((0xC1, 0x83)) + b"\0\0\0\0" + b"\xca\x07\x00"
    joined = b"".join((*texts, *control[1:], packed))
    return [bytes((flags, 3)) + data for flags in (0, 1) for data in (*texts, *control, *long, packed, joined)]


def _handshakes() -> list[bytes]:
    extension = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    return [
        handshake().removesuffix(b"\r\n\r\n"),
        handshake("/ocpp/north/a%20b?x", "ocpp2.0.1, ocpp1.6", extension).removesuffix(b"\r\n\r\n"),
        handshake("/ocpp/CS-1/", "OCPP2.1", "Authorization: Basic Q1MtMTpw").removesuffix(b"\r\n\r\n"),
    ]


def _messages() -> list[bytes]:
    found: list[bytes] = []

    @settings(max_examples=3, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        lines = [_line(data, number, action) for number, action in enumerate(INCOMING)]
        found.extend([*lines, b"\n".join(lines[:20])])

    collect()
    return found


def _line(data: st.DataObject, number: int, action: Action) -> bytes:
    return bytes([number]) + json.dumps(data.draw(valid(action.version, f"{action.name}Request"))).encode()
