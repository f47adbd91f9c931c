"""One station's conversation on one socket, driven by callbacks: no task and no queue while it is idle."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from csms.blocks.dispatch import Context
from csms.domain.events import StationConnected
from csms.domain.stations import Registration, Station
from csms.domain.unit import Unit
from csms.gateway.proxies import Seen
from csms.gateway.tls import Certificate, certificate_of, profile_of
from csms.gateway.turns import Turn
from csms.ocpp.catalogue import Version
from csms.ocpp.frames import Call, Send
from csms.ocpp.peer import Ignored, Malformed, Peer, Pending
from csms.ocpp.repairs import shortened
from csms.ocpp.websocket import PING, WebSocket

if TYPE_CHECKING:
    from csms.gateway.server import Gateway

MAX_HEAD = 16 << 10  # Bytes of a handshake request.
MAX_INBOX = 32  # Calls of one station that wait for their turn before we stop reading.
_IN_TURN = 2  # Messages at once of a station that waits for answers: a call, and an answer to ours (rule 7).
MAX_UNSENT = 256 << 10  # Bytes a station may leave unread before it is dropped.
_OTHERS = 8  # Pings, pongs and fragments that count as a message.
_AT_ONCE = 32  # Messages of one station that are taken in one go, before it is others' turn.
_PORTION = 0.2  # s of a station's rate that are done at once of what it sent too much.
_HEARD_OUT = 4 << 20  # Bytes that are read after our goodbye.
_LINGER = 5.0  # s between our close frame and the end of the socket.

log = structlog.get_logger()


class Link(asyncio.Protocol):
    """The server's end of one connection: first a handshake, then a conversation with `station`."""

    __slots__ = (
        "_allowance", "_head", "_inbox", "_leaving", "_peer", "_socket", "_transport", "announced", "behind", "gateway", "heard_at", "pinged_at",
        "stalled_at", "station",
    )  # fmt: skip

    def __init__(self, gateway: Gateway):
        self.gateway = gateway
        self.station: Station | None = None
        self.heard_at = 0.0  # s, monotonic, like the other times here
        self.pinged_at = 0.0
        self.stalled_at = 0.0  # Since when the station does not read what we send; 0: it does.
        self.announced = False  # Whether the network was told of this connection.
        self._leaving = False  # Whether our last word is said.
        self._transport: asyncio.Transport | None = None
        self._socket: WebSocket | None = None
        self.behind: Seen | None = None  # What a trusted proxy told of it.
        self._peer: Peer | None = None
        self._head: bytes | None = b""
        self._inbox: deque[Call] | None = None
        self._allowance = float(gateway.limits.burst)  # Messages it may send at once; refilled as time passes.

    # The socket's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.heard_at = monotonic()
        if not self.gateway.arrived(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._socket is None:
            self._shake_hands(data)
            return
        if self._leaving:
            self._hear_out(len(data))
            return
        now, limits = monotonic(), self.gateway.limits
        if limits.rate:  # What is beyond its ration stays unread, or at least undone (N12).
            allowance = min(limits.burst, self._allowance + (now - self.heard_at) * limits.rate)
            messages, out = self._socket.receive(data, max(min(int(allowance), _AT_ONCE), 1))
            self._allowance = allowance - len(messages) - self._socket.others / _OTHERS
            if self._allowance < 0 or self._socket.more:
                self._slow_down(now, len(messages))
        else:
            messages, out = self._socket.receive(data)
        self.heard_at = now
        self.pinged_at = 0.0
        for message in messages:
            self._message(message)
        if out:
            self._transport.write(out)
        if self._socket.closed is not None:
            self._leave()

    def pause_writing(self) -> None:
        self.stalled_at = monotonic()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.stalled_at = 0.0
        self._read_on()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self.gateway.departed(self)
        self._ended()

    # The handshake.

    def _shake_hands(self, data: bytes) -> None:
        if self._head is None:  # Being admitted: a client that speaks before our answer is waited for.
            self.abort()
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n", 0, MAX_HEAD) + 4
        if end >= 4:
            head, self._head = self._head, None
            if end < len(head):
                self.abort()
            else:
                self.gateway.admit(self, head)
        elif len(self._head) > MAX_HEAD:
            self.refuse(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")

    def refuse(self, response: bytes) -> None:
        self._transport.write(response)
        self._transport.close()

    def open(self, response: bytes, station: Station, version: Version, *, deflate: bool, max_size: int) -> None:
        """The station is admitted: answer the handshake and begin to converse."""
        self._transport.write(response)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT)
        self._socket = WebSocket(deflate=deflate, max_size=max_size)
        self._peer = Peer(version)
        self.station = station
        self.gateway.shaken(self)

    # The conversation.

    @property
    def version(self) -> Version:
        return self._peer.version

    @property
    def address(self) -> str | None:
        if self.behind is not None:
            return self.behind.address
        name = self._transport.get_extra_info("peername")
        return name[0] if name else None

    @property
    def registration(self) -> Registration | None:
        return self.station.registration

    def allow(self, messages: frozenset[str]) -> None:
        self.station.provoked = (self.station.provoked or frozenset()) | messages

    @property
    def profile(self) -> int:
        """The security profile of the port it came in by."""
        return profile_of(self._transport) if self.behind is None else self.behind.profile

    @property
    def certificate(self) -> Certificate | None:
        """Who its certificate says it is, where it had to show one."""
        return certificate_of(self._transport) if self.behind is None else self.behind.certificate

    @property
    def listening(self) -> bool:
        """Whether we read what the station sends; if not, it may have spoken without our knowing."""
        return self._transport.is_reading()

    @property
    def unfinished(self) -> object | None:
        """What stands for a message that has begun and not ended."""
        return self._socket.unfinished

    def is_calm(self, now: float) -> bool:
        """Whether it has sent so little lately that it may send half a burst again."""
        limits = self.gateway.limits
        refilled = self._allowance + (now - self.heard_at) * limits.rate
        return refilled >= limits.burst / 2 and not self._socket.more

    @property
    def lost(self) -> bool:
        return self._leaving or self._transport.is_closing()

    def call(self, pending: Pending) -> None:
        """Send a call of ours, or queue it behind the one that waits; QueueFull beyond the bound."""
        out = self._peer.call(self.gateway.trail.watched(self.station.id, pending), monotonic())
        if out is not None:
            self.send(out)

    def send(self, message: bytes) -> None:
        if not self.lost:
            self._transport.write(self._socket.frame(message))

    def close(self, code: int, reason: str) -> None:
        """Say goodbye, then close; a station that does not take the goodbye is cut off."""
        if self.lost:
            return
        if self._socket is None:
            self._transport.close()
            return
        self._transport.write(self._socket.close(code, reason))
        self._leave()

    def abort(self) -> None:
        self._transport.abort()

    def _leave(self) -> None:
        """The last word is said: end our direction of the socket, and take what still comes until the station ends its own.

        Closing at once would make TCP answer what still comes with a reset, which takes our last words back.
        """
        if self.lost:
            return
        self._leaving = True
        self._allowance = float(_HEARD_OUT)  # From here on it counts bytes.
        loop = asyncio.get_running_loop()
        loop.call_later(_LINGER, self._transport.abort)
        loop.call_soon(self._ended)
        try:
            self._transport.write_eof()
            self._transport.resume_reading()
        except (OSError, NotImplementedError):  # The station is gone already; TLS cannot end one direction.
            self._transport.close()

    def _ended(self) -> None:
        """The conversation is over, though the socket may live on for a moment."""
        if self._peer is not None:
            self._peer.close()
        if self.station is not None:
            closed = self._socket.closed
            reason = f"{closed.code} {closed.reason}".strip() if closed else "connection lost"
            self.gateway.link_lost(self, reason)

    def ping(self, now: float) -> None:
        self.pinged_at = now
        self._transport.write(self._socket.frame(b"", PING))

    def tick(self, now: float) -> None:
        """Let time pass for our call that waits for an answer."""
        if self._peer.waiting is not None:
            _, out = self._peer.tick(now)
            if out is not None:
                self.send(out)

    def introduce(self, unit: Unit) -> None:
        """Let `unit` tell of this connection, too."""
        unit.connection = (self.version, unit.at)
        unit.events.insert(0, StationConnected(at=unit.at, version=self.version, address=self.address))

    @property
    def has_waiting(self) -> bool:
        return bool(self._inbox)

    def pump(self) -> None:
        """Take waiting calls, one turn after the other, until one has to wait."""
        station = self.station
        while self._inbox and not station.busy and station.link is self and not self.lost:
            self._begin(self._inbox.popleft())
        if not self._inbox and self._inbox is not None:
            self._inbox = None
            self._read_on()

    def drop_waiting(self) -> None:
        """Leave calls unanswered that nobody began: the station keeps them and comes again."""
        self._inbox = None

    def _slow_down(self, now: float, messages: int) -> None:
        """Let a station that sends too fast wait: what it sends stays in its own socket, but for what was read already."""
        self._transport.pause_reading()
        if self._allowance >= 1.0:  # It may, but others are waiting, too.
            asyncio.get_running_loop().call_soon(self._go_on)
            return
        self._rest()
        if messages > _IN_TURN or self._socket.more:
            self.gateway.floods.setdefault(self, now)

    def _rest(self) -> None:
        """For as long as what it did too much takes, and the next portion."""
        rate = self.gateway.limits.rate
        portion = max(rate * _PORTION, 1.0) if self._socket.more else 0.0
        asyncio.get_running_loop().call_later((portion - min(self._allowance, 0.0)) / rate, self._rested)

    def _rested(self) -> None:
        if self.lost:
            return
        now, limits = monotonic(), self.gateway.limits
        self._allowance = min(limits.burst, self._allowance + (now - self.heard_at) * limits.rate)
        self.heard_at = now
        if self._allowance < -0.5:  # It rested for something else meanwhile.
            self._rest()
            return
        self._allowance = max(self._allowance, 0.0)
        self._read_on()

    def _read_on(self) -> None:
        """Go on with what was read, or read again, once nothing speaks against it any more."""
        if self.stalled_at or self._inbox is not None or self._allowance < 0 or self.lost:
            return
        if not self._socket.more:
            self._transport.resume_reading()
        elif self._allowance >= 0.5:  # Else its rest is not over.
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._socket.more and not self.lost:
            self.data_received(b"")
            self._read_on()

    def _hear_out(self, size: int) -> None:
        """What comes after our goodbye: taken for a while, so that the goodbye arrives, and thrown away."""
        self._allowance -= size
        if self._allowance < 0:
            self._transport.abort()

    def _message(self, message: bytes) -> None:
        event = self._peer.receive(message, monotonic())
        if type(event) is Call:
            self._take(event)
        elif type(event) is bytes:
            self.send(event)
        elif type(event) is Malformed:
            self.gateway.trail.odd(self.station.id, message, event.error.description, malformed=True)
            log.warning(
                "frame.malformed",
                **self._facts(),
                error=event.error.description,
                frame=message[:200].decode("utf-8", "replace"),
            )
            for answer in (event.answer, event.following):
                if answer is not None:
                    self.send(answer)
        elif type(event) is Ignored:
            self.gateway.trail.odd(self.station.id, message, event.reason, malformed=False)
            log.info("frame.ignored", **self._facts(), reason=event.reason)
        elif type(event) is Send:  # Never answered, whatever it holds (2.1 Part 4, 4.1.5).
            log.info("frame.ignored", **self._facts(), reason=f"{shortened(event.action)} is not supported here")

    def _take(self, call: Call) -> None:
        if self.lost or self.gateway.stopping:  # Nothing after our goodbye takes effect: all of it will come again.
            return
        station = self.station
        if self._inbox is None and not station.busy and station.link is self:
            self._begin(call)
            return
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(call)
        if len(self._inbox) == MAX_INBOX:
            self._transport.pause_reading()

    def _begin(self, call: Call) -> None:
        gateway, station = self.gateway, self.station
        if call.action in gateway.messages:
            gateway.messages[call.action] += 1
        station.busy = True
        ctx = Context(station, self._peer.version, gateway.clock(), gateway.records, gateway.policy)
        Turn(self, call, ctx).step()

    def _facts(self) -> dict[str, str]:
        return {"operator": self.station.operator, "station": self.station.identity}
