"""The latest messages of all stations of this node, in one ring of bounded size.

An exchange is noted when it is over, packed into one run of bytes: it is unpacked when somebody asks, holds no objects
that would grow old in the caches, and a connection that says nothing costs nothing. Heartbeats are left out, but for the
stations that are traced: each of those has a ring of its own for a while.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any, NamedTuple

import msgspec

from csms.blocks.discretion import discreet
from csms.domain.trail import Exchange, ExchangeOutcome, TooManyTraces
from csms.ocpp import frames
from csms.ocpp.frames import Call
from csms.ocpp.peer import Answered, Dropped, Expired, Outcome, Pending, Refused

HEARTBEAT = "Heartbeat"
OVERHEAD = 56  # Bytes that an exchange takes beside those it is packed into; a test measures it.
MOST_TRACES = 50
TRACE_BYTES = 4 << 20
_MOST_ODD = 2048  # Bytes kept of what is no frame.


class _Noted(msgspec.Struct, array_like=True, gc=False):
    """An exchange as it is kept, behind the key of its station. `outcome`: None where the answer's frame tells it."""

    number: int
    at: datetime
    ended: float  # s since 1970
    action: str | None  # None: no call, and not taken for one.
    message_id: str
    payload: bytes
    answer: bytes = b""  # The frame; b"" for none.
    outcome: ExchangeOutcome | None = None
    reason: str | None = None
    ours: bool = False


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Noted).decode
_KEY = 8  # Bytes


def _key(station_id: int) -> bytes:
    return station_id.to_bytes(_KEY, "little")


class _Ring:
    """Entries up to a number of bytes; the oldest go."""

    __slots__ = ("entries", "most", "size")

    def __init__(self, most: int):
        self.most = most
        self.size = 0
        self.entries: deque[bytes] = deque()

    def add(self, entry: bytes) -> None:
        self.entries.append(entry)
        self.size += len(entry) + OVERHEAD
        while self.size > self.most:
            self.size -= len(self.entries.popleft()) + OVERHEAD

    def of(self, key: bytes) -> Iterator[_Noted]:
        """What is kept of a station at this moment, the latest first."""
        found = [entry for entry in self.entries if entry.startswith(key)]
        return (_unpack(memoryview(entry)[_KEY:]) for entry in reversed(found))


class _Trace(NamedTuple):
    until: float
    ring: _Ring


class Trail:
    """What stations and we said lately. `most`: bytes of memory; 0 keeps nothing but traces."""

    def __init__(self, most: int = 64 << 20, clock: Callable[[], float] = time):
        self._ring = _Ring(most)
        self._clock = clock
        self._traces: dict[int, _Trace] = {}
        self._numbers = itertools.count(1)

    # On the way of every message.

    def took(self, station_id: int, at: datetime, call: Call, answer: bytes) -> None:
        """A call of a station is over, with this answer or (b"") without one."""
        ring = self._ring
        if self._traces:
            ring = self._ring_for(station_id)
        if ring is self._ring and (call.action == HEARTBEAT or not ring.most):
            return
        # The fields of `_Noted`; a tuple is made in a third of the time.
        noted = (next(self._numbers), at, self._clock(), call.action, call.id, bytes(call.payload), answer)
        ring.add(_key(station_id) + _pack(noted))

    # Seldom.

    def watched(self, station_id: int, pending: Pending) -> Pending:
        """The call of ours, with its outcome noted when it comes."""
        settled = pending.settled

        def noted(outcome: Outcome) -> None:
            self._asked(station_id, pending, outcome)
            settled(outcome)

        pending.settled = noted
        return pending

    def odd(self, station_id: int, data: bytes, reason: str, *, malformed: bool) -> None:
        now = self._clock()
        outcome: ExchangeOutcome = "malformed" if malformed else "ignored"
        self._add(station_id, now, None, "", data[:_MOST_ODD], outcome=outcome, reason=reason)

    def trace(self, station_id: int, until: float) -> None:
        """Keep everything this station says until then, heartbeats too; TooManyTraces beyond the bound."""
        now = self._clock()
        old = self._traces.get(station_id)
        running = sum(trace.until > now for id, trace in self._traces.items() if id != station_id)
        if until > now and running >= MOST_TRACES:
            raise TooManyTraces(f"{MOST_TRACES} stations are traced already: end one first, or wait until one ends.")
        self._traces[station_id] = _Trace(until, old.ring if old else _Ring(TRACE_BYTES))
        while len(self._traces) > MOST_TRACES:  # What ended longest ago makes room.
            del self._traces[min(self._traces, key=lambda id: self._traces[id].until)]

    def traced_until(self, station_id: int) -> float | None:
        trace = self._traces.get(station_id)
        return trace.until if trace is not None and trace.until > self._clock() else None

    def of(self, station_id: int, *, before: int | None = None, action: str | None = None) -> Iterator[Exchange]:
        """The exchanges of a station, the latest first, discreetly."""
        key, trace = _key(station_id), self._traces.get(station_id)
        rings = (self._ring,) if trace is None else (self._ring, trace.ring)
        for noted in heapq.merge(*(ring.of(key) for ring in rings), key=lambda noted: -noted.number):
            if (before is None or noted.number < before) and action in (None, noted.action):
                yield _shown(noted)

    def _ring_for(self, station_id: int) -> _Ring:
        trace = self._traces.get(station_id)
        return self._ring if trace is None or trace.until <= self._clock() else trace.ring

    def _asked(self, station_id: int, pending: Pending, outcome: Outcome) -> None:
        if type(outcome) is Dropped and not outcome.sent:
            return
        sent_at = self._clock() - (monotonic() - pending.sent)
        told, answer = _told(pending, outcome)
        self._add(station_id, sent_at, pending.action, pending.id, pending.payload, answer, outcome=told, ours=True)

    def _add(self, station_id: int, at: float, *what: Any, **more: Any) -> None:
        ring = self._ring_for(station_id)
        if ring.most:
            noted = _Noted(next(self._numbers), _moment(at), self._clock(), *what, **more)
            ring.add(_key(station_id) + _pack(noted))


def _told(pending: Pending, outcome: Outcome) -> tuple[ExchangeOutcome, bytes]:
    """What became of a call of ours, and the frame of its answer."""
    match outcome:
        case Answered(payload):
            return "answered", frames.call_result(pending.id, payload)
        case Refused(error, code):
            return "refused", _json([4, pending.id, code, error.description, error.details or {}])
        case Expired():
            return "timeout", b""
        case _:
            return "unanswered", b""


def _shown(noted: _Noted) -> Exchange:
    if noted.action is None:
        return Exchange(
            number=noted.number, at=noted.at, direction="from_station", action=None, message_id=None,
            outcome=noted.outcome, reason=noted.reason, frame=discreet(None, _read(noted.payload)),
        )  # fmt: skip
    return Exchange(
        number=noted.number, at=noted.at, direction="to_station" if noted.ours else "from_station",
        action=noted.action, message_id=noted.message_id, outcome=noted.outcome or _OUTCOMES[noted.answer[:2]],
        frame=[2, noted.message_id, noted.action, discreet(noted.action, _read(noted.payload))],
        answered_at=_moment(noted.ended) if noted.answer else None,
        answer=_shown_answer(noted) if noted.answer else None,
    )  # fmt: skip


def _shown_answer(noted: _Noted) -> Any:
    frame = _read(noted.answer)
    if not noted.ours:
        return discreet(noted.action, frame)
    return frame if noted.outcome == "refused" else [*frame[:2], discreet(noted.action, frame[2])]


_OUTCOMES: dict[bytes, ExchangeOutcome] = {b"[3": "answered", b"[4": "refused", b"": "unanswered"}
_json = msgspec.json.Encoder().encode


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _read(data: bytes) -> Any:
    """As JSON; what is none as text."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")
