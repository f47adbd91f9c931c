"""The latest messages of all stations of this node, in one ring of bounded size.

An exchange is noted when it is over, with the objects that are there anyway: nothing is copied or decoded before
somebody asks, and a connection that says nothing costs nothing. Heartbeats are left out, but for the stations that are
traced: each of those has a ring of its own for a while.
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
from csms.ocpp.frames import Call
from csms.ocpp.peer import Answered, Dropped, Expired, Outcome, Pending, Refused

HEARTBEAT = "Heartbeat"
OVERHEAD = 640  # Bytes that an exchange takes beside its payloads; a test measures it.
MOST_TRACES = 50
TRACE_BYTES = 4 << 20
_MOST_ODD = 2048  # Bytes kept of what is no frame.


class _Ours(NamedTuple):
    """A call of ours that is over."""

    pending: Pending
    outcome: Outcome


class _Odd(NamedTuple):
    """Something that is no call, and not taken for one."""

    data: bytes
    malformed: bool


class _Noted(NamedTuple):
    """An exchange as it is kept. `answer`: bytes sent (b"" for none), or the reason why nothing came of it."""

    size: int  # Bytes of memory, about.
    number: int
    station_id: int
    at: Any  # A time, or s since 1970.
    ended: float
    what: Call | _Ours | _Odd
    answer: Any


class _Ring:
    """Entries up to a number of bytes; the oldest go."""

    __slots__ = ("entries", "most", "size")

    def __init__(self, most: int):
        self.most = most
        self.size = 0
        self.entries: deque[tuple] = deque()  # _Noted, as bare tuples: they are made with every message.

    def add(self, entry: tuple) -> None:
        self.entries.append(entry)
        self.size += entry[0]
        while self.size > self.most:
            self.size -= self.entries.popleft()[0]


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
        size = len(call.payload) + len(answer) + OVERHEAD
        ring.add((size, next(self._numbers), station_id, at, self._clock(), call, answer))

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
        self._add(station_id, now, _Odd(data[:_MOST_ODD], malformed), reason, min(len(data), _MOST_ODD))

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
        found = [entry for entry in tuple(self._ring.entries) if entry[2] == station_id]
        traced = tuple(self._traces[station_id].ring.entries) if station_id in self._traces else ()
        for entry in heapq.merge(reversed(found), reversed(traced), key=lambda entry: -entry[1]):
            noted = _Noted(*entry)
            if (before is None or noted.number < before) and action in (None, _action(noted)):
                yield _shown(noted)

    def _ring_for(self, station_id: int) -> _Ring:
        trace = self._traces.get(station_id)
        return self._ring if trace is None or trace.until <= self._clock() else trace.ring

    def _asked(self, station_id: int, pending: Pending, outcome: Outcome) -> None:
        if type(outcome) is Dropped and not outcome.sent:
            return
        now = self._clock()
        sent_at = now - (monotonic() - (pending.deadline - pending.timeout))
        size = len(pending.payload) + (len(outcome.payload) if type(outcome) is Answered else 0)
        self._add(station_id, sent_at, _Ours(pending, outcome), None, size)

    def _add(self, station_id: int, at: float, what: _Ours | _Odd, answer: Any, size: int) -> None:
        ring = self._ring_for(station_id)
        if ring.most:
            ring.add((size + OVERHEAD, next(self._numbers), station_id, at, self._clock(), what, answer))


def _action(noted: _Noted) -> str | None:
    what = noted.what
    return what.pending.action if type(what) is _Ours else None if type(what) is _Odd else what.action


def _shown(noted: _Noted) -> Exchange:
    what = noted.what
    if type(what) is _Ours:
        return _our_call(noted, what)
    if type(what) is _Odd:
        return Exchange(
            number=noted.number, at=_moment(noted.at), direction="from_station", action=None, message_id=None,
            outcome="malformed" if what.malformed else "ignored", reason=noted.answer,
            frame=discreet(None, _read(what.data)),
        )  # fmt: skip
    answer = _read(noted.answer) if noted.answer else None
    return Exchange(
        number=noted.number, at=noted.at, direction="from_station", action=what.action, message_id=what.id,
        outcome=_OUTCOMES[noted.answer[:2]], frame=[2, what.id, what.action, discreet(what.action, _read(what.payload))],
        answered_at=_moment(noted.ended) if noted.answer else None, answer=discreet(what.action, answer),
    )  # fmt: skip


_OUTCOMES: dict[bytes, ExchangeOutcome] = {b"[3": "answered", b"[4": "refused", b"": "unanswered"}


def _our_call(noted: _Noted, ours: _Ours) -> Exchange:
    pending, outcome = ours
    result: tuple[ExchangeOutcome, Any]
    match outcome:
        case Answered(payload):
            result = "answered", [3, pending.id, discreet(pending.action, _read(payload))]
        case Refused(error, code):
            result = "refused", [4, pending.id, code, error.description, error.details or {}]
        case Expired():
            result = "timeout", None
        case _:
            result = "unanswered", None
    return Exchange(
        number=noted.number, at=_moment(noted.at), direction="to_station", action=pending.action,
        message_id=pending.id, outcome=result[0], answer=result[1],
        frame=[2, pending.id, pending.action, discreet(pending.action, _read(pending.payload))],
        answered_at=_moment(noted.ended) if result[1] is not None else None,
    )  # fmt: skip


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _read(data: Any) -> Any:
    """As JSON; what is none as text."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return bytes(data).decode("utf-8", "replace")
