"""WebSocket messages after the handshake, without I/O: a short path for what stations send all day.

Uncompressed text, pings and pongs are read here, as is text in fragments: what floods are made of must be cheap.
Everything else (close frames, permessage-deflate, protocol violations) goes through the sans-I/O core of `websockets`,
made when it is needed and let go when it is idle, so that a connection costs a few hundred bytes (RFC 6455, RFC 7692).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import DATA_OPCODES, Close, Frame, Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # A platform without the C extension.
    from websockets.utils import apply_mask

TEXT, PING, PONG, CLOSE = 0x81, 0x89, 0x8A, 0x88  # First byte of a final, uncompressed frame.
BEGIN, MORE, END = 0x01, 0x00, 0x80  # First bytes of text in fragments.
MAX_FRAGMENTS = 2048


@dataclass(frozen=True, slots=True)
class Closed:
    """The conversation is over: write what is left to send, then close the socket."""

    code: int
    reason: str


class _Fragments:
    """The beginning of a message that comes in fragments."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> None:
        self.parts.append(part)
        self.size += len(part)


class WebSocket:
    """One side of an open WebSocket. Feed it bytes; it gives messages, and bytes to send."""

    __slots__ = ("_client", "_core", "_deflate", "_max_size", "_parts", "_rest", "_wanted", "closed", "others")

    def __init__(self, *, client: bool = False, deflate: bool = False, max_size: int = 1 << 20):
        """`max_size` bounds a message in bytes, inflated; `deflate`: permessage-deflate without context takeover."""
        self._client = client
        self._deflate = deflate
        self._max_size = max_size
        self._rest: bytes | bytearray = b""  # The beginning of a frame …
        self._wanted = 0  # … of which so many bytes must be there to go on.
        self._core: Protocol | object | None = None  # None: nothing unusual is under way.
        self._parts: _Fragments | None = None
        self.closed: Closed | None = None
        self.others = 0  # Frames of the bytes that were received last which were no messages by themselves.

    def receive(self, data: bytes, most: int = sys.maxsize) -> tuple[list[bytes], bytes]:
        """Take bytes from the socket; return the whole text messages among them, and bytes to send.

        When `closed` is set afterwards, send the bytes and close the socket. After `most` messages, or eight times as
        many other frames, the rest is left as it is: `more` is set then, and receiving nothing goes on with it.
        """
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._wanted:  # Joined once, however small the pieces a frame comes in.
                return [], b""
            data, self._rest = bytes(rest), b""
        messages: list[bytes] = []
        out = b""
        position, end, stop, others = 0, len(data), 0, 0
        masked = not self._client
        while end - position >= 2 and self.closed is None and len(messages) < most > others // 8:
            first, second = data[position], data[position + 1]
            size, start = second & 0x7F, position + 2
            if size == 126:
                size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            elif size == 127:
                size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            body = start + 4 if masked else start
            stop = body + size
            if (second >= 0x80) is not masked or (size > self._max_size and start <= end):
                stop = end  # The core refuses it by its header, before the body is buffered.
            elif stop > end and first & 0x0F not in _RESERVED:
                stop = start if start > end else stop  # Half a size must not say how much is waited for.
                break
            elif first == TEXT and self._core is None:
                payload = data[body:stop]
                if masked:
                    payload = apply_mask(payload, data[start:body])
                if payload.isascii() or _is_utf8(payload):
                    messages.append(payload)
                else:
                    out += self._fail(1007, "invalid UTF-8")
                position = stop
                continue
            elif first in _CHEAP and (answer := self._cheap(first, data, start, body, stop, messages)) is not None:
                out += answer
                position = stop
                others += 1
                continue
            others += 1
            out += self._through_core(data[position:stop], messages)
            position = stop
        self.others = others
        if position < end and self.closed is None:
            if position or not isinstance(rest, bytearray):  # Else it is the same beginning still, only longer.
                rest = bytearray(data[position:])
            self._rest = rest
            stopped = len(messages) >= most or others // 8 >= most
            self._wanted = 0 if stopped else max(stop - position, 2)
        return messages, out

    @property
    def more(self) -> bool:
        """Whether there is more to go on with."""
        return bool(self._rest) and not self._wanted

    @property
    def unfinished(self) -> object | None:
        """The same object as long as the same message has begun and not ended; None between messages."""
        if self._parts is not None:
            return self._parts
        return self._rest or None

    def frame(self, payload: bytes, first: int = TEXT) -> bytes:
        """The bytes that carry `payload` as one frame."""
        size = len(payload)
        mask_bit = 0x80 if self._client else 0
        if size < 126:
            header = bytes((first, mask_bit | size))
        elif size < 65536:
            header = bytes((first, mask_bit | 126)) + size.to_bytes(2, "big")
        else:
            header = bytes((first, mask_bit | 127)) + size.to_bytes(8, "big")
        if not self._client:
            return header + payload
        mask = os.urandom(4)
        return header + mask + apply_mask(payload, mask)

    def close(self, code: int, reason: str = "") -> bytes:
        """Start (and, for us, end) the closing handshake: the close frame to send before the socket is closed."""
        if self.closed is not None:
            return b""
        return self._fail(code, reason)

    def _fail(self, code: int, reason: str) -> bytes:
        self.closed = Closed(code, reason)
        self._core = self._parts = None
        self._rest = b""
        return self.frame(Close(code, reason).serialize(), CLOSE)

    def _cheap(self, first: int, data: bytes, start: int, body: int, stop: int, messages: list[bytes]) -> bytes | None:
        """A ping, a pong or a fragment of uncompressed text: what to answer; None where it is for the core to judge."""
        if first in (PING, PONG) and stop - body > 125:
            return None
        if first == PONG:
            return b""
        if first not in (_BETWEEN if self._core is None else _AMID if self._core is _COLLECTING else ()):
            return None
        payload = data[body:stop]
        if body > start:
            payload = apply_mask(payload, data[start:body])
        return self.frame(payload, PONG) if first == PING else self._fragment(first, payload, messages)

    def _fragment(self, first: int, payload: bytes, messages: list[bytes]) -> bytes:
        if first == BEGIN:
            self._core, self._parts = _COLLECTING, _Fragments()
        fragments = self._parts
        fragments.add(payload)
        if fragments.size > self._max_size or len(fragments.parts) > MAX_FRAGMENTS:
            return self._fail(1009, "too large or in too many fragments")
        if first != END:
            return b""
        self._core = self._parts = None
        message = b"".join(fragments.parts)
        if not _is_utf8(message):
            return self._fail(1007, "invalid UTF-8")
        messages.append(message)
        return b""

    def _new_core(self) -> Protocol:
        core = Protocol(CLIENT if self._client else SERVER, max_size=self._max_size)
        if self._deflate:
            core.extensions = [PerMessageDeflate(True, True, 15, 15)]
        if self._core is _COLLECTING:  # What follows comes amid fragments: for the core, too.
            core.receive_data(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=not self._client))
            core.events_received()
        self._core = core
        return core

    def _through_core(self, data: bytes, messages: list[bytes]) -> bytes:
        """Rare, correct, not fast: whole frames (or a refusable header) go to the core of `websockets`."""
        core = self._core
        if core is None or core is _COLLECTING:
            core = self._new_core()
        core.receive_data(data)
        for event in core.events_received():
            if event.opcode in DATA_OPCODES and not self._collect(event, messages):
                return self._fail(*self._why_not(event))
        out = b"".join(core.data_to_send())
        if core.state is not OPEN:
            close = core.close_sent or core.close_rcvd or Close(1006, "")
            self.closed = Closed(close.code, close.reason)
        if core.state is not OPEN or core.current_size is None:  # Idle again: back to the short path.
            self._core = None
        return out

    def _collect(self, event: Frame, messages: list[bytes]) -> bool:
        """Put fragments together; False for what ends the conversation."""
        if self._parts is None:
            self._parts = _Fragments()
        self._parts.add(bytes(event.data))
        if event.opcode is Opcode.BINARY or len(self._parts.parts) > MAX_FRAGMENTS:
            return False
        if event.fin:
            message = b"".join(self._parts.parts)
            self._parts = None
            messages.append(message)
            return _is_utf8(message) or not messages.pop()
        return True

    def _why_not(self, event: Frame) -> tuple[int, str]:
        if event.opcode is Opcode.BINARY:
            return 1003, "OCPP messages are text"
        if self._parts is None:
            return 1007, "invalid UTF-8"
        return 1009, "too many fragments"


_CHEAP = frozenset((PING, PONG, BEGIN, MORE, END))
_RESERVED = frozenset((3, 4, 5, 6, 7, 11, 12, 13, 14, 15))  # Opcodes nobody defined: refused by the header, too.
_BETWEEN, _AMID = (PING, BEGIN), (PING, MORE, END)  # What may come between messages, and amid fragments.
_COLLECTING = object()  # Instead of a core, while text comes in fragments.


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
