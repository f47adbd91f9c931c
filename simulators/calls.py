"""A station's calls to the server, each settled once: answered, refused, expired or dropped with its connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from csms.ocpp.catalogue import actions
from csms.ocpp.errors import Fault
from csms.ocpp.frames import Call
from csms.ocpp.peer import Answered, Dropped, Expired, Malformed, Outcome, Peer, Pending, QueueFull, Refused

if TYPE_CHECKING:
    from simulators.station import Station

Done = Callable[["msgspec.Struct | None"], None]


class Calls:
    """The conversation of one station, over all its connections."""

    __slots__ = ("_made", "_peer", "_station")

    def __init__(self, station: Station):
        self._station = station
        self._peer: Peer | None = None
        self._made = 0

    @property
    def possible(self) -> bool:
        """Whether there is anybody to call."""
        return self._peer is not None

    @property
    def waiting(self) -> bool:
        """Whether one of ours waits for its answer."""
        return self._peer is not None and self._peer.waiting is not None

    @property
    def ever_made(self) -> bool:
        return self._made > 0

    def begin(self) -> None:
        """A connection is there."""
        self._peer = Peer(self._station.plan.version)

    def drop(self) -> None:
        """The connection is gone."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()

    # -- ours --------------------

    def call(self, request: msgspec.Struct, done: Done | None = None, *, triggered: bool = False) -> None:
        """Ask the server; `done` gets the response, or None where none came or the server allows no such call now."""
        name = type(request).__name__
        if self._peer is None or not self._station.registration.allows(name, triggered=triggered):
            if done is not None:
                done(None)
            return
        decode = actions(self._station.plan.version)[name].decode_response

        def settled(outcome: Outcome) -> None:
            response = self.response(outcome, decode)
            if done is not None:
                done(response)

        self.send(self.new_id(), name, msgspec.json.encode(request), settled)

    def send(self, message_id: str, action: str, payload: bytes, settled: Callable[[Outcome], None]) -> None:
        """What `call` does, for bytes that may go out more than once."""
        world = self._station.world

        def timed(outcome: Outcome) -> None:
            self._count(pending, outcome)
            settled(outcome)

        pending = Pending(message_id, action, payload, world.timeout, timed)
        try:
            data = self._peer.call(pending, world.clock.wall())
        except QueueFull:  # A server that answers nothing: what waits is enough.
            settled(Dropped(message_id, sent=False))
            return
        world.tally.sent += 1
        if data is not None:
            self._send(data)

    def _send(self, data: bytes) -> None:
        """A call of ours goes out, which has to be answered in time."""
        station = self._station
        if self._peer.waiting is not None:
            station.world.deadlines.append((self._peer.waiting.deadline, station))
        station.link.send(data)

    def _count(self, pending: Pending, outcome: Outcome) -> None:
        world = self._station.world
        if isinstance(outcome, Answered | Refused):
            world.tally.took(world.clock.wall() - (pending.deadline - pending.timeout))
            if isinstance(outcome, Refused):
                world.tally.errors[outcome.code] += 1
        elif isinstance(outcome, Expired) or outcome.sent:
            world.tally.unanswered += 1

    def response(self, outcome: Outcome, decode: Callable[[bytes], Any]) -> msgspec.Struct | None:
        """The server's answer, understood; None where it is none."""
        if isinstance(outcome, Refused) and outcome.error.fault is Fault.SECURITY:
            self._station.registration.forgotten()
        if not isinstance(outcome, Answered):
            return None
        try:
            return decode(outcome.payload)
        except msgspec.DecodeError:
            self._station.world.tally.errors["response not understood"] += 1
            return None

    def new_id(self) -> str:
        self._made += 1
        return f"{self._station.world.run}.{self._made}"

    # -- what comes --------------------

    def receive(self, data: bytes) -> Call | None:
        """Take one message; a call of the server's is handed out."""
        received = self._peer.receive(data, self._station.world.clock.wall())
        if type(received) is Call:
            return received
        if type(received) is bytes:
            self._send(received)
        elif type(received) is Malformed and received.answer is not None:
            self._station.link.send(received.answer)
        return None

    def tick(self, now: float) -> None:
        """Let real time pass: a call without an answer expires."""
        if not self.waiting:
            return
        link = self._station.link
        expired, following = self._peer.tick(now)
        if following is not None:
            self._send(following)
        if expired and link.up and not self.waiting:
            link.cut()  # Nothing else is under way: the link is probably dead, so take a new one.
