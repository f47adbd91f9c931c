"""One side of an OCPP-J conversation, without I/O.

Its law: one call of ours at a time waits for its answer (the others queue in order), an answer counts only for the
call that waits, and the other side's calls are answered independently of ours (OCPP-J 4.1.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from csms.ocpp import frames
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.errors import Fault, OcppError, fault_from
from csms.ocpp.frames import BadFrame, Call, CallError, CallResult, CallResultError, Send
from csms.ocpp.repairs import shortened

MAX_QUEUED = 100


class Pending:
    """A call of ours. `settled` gets `Answered`, `Refused`, `Expired` or `Dropped`, exactly once."""

    __slots__ = ("action", "deadline", "id", "patience", "payload", "settled", "timeout")

    def __init__(
        self,
        message_id: str,
        action: str,
        payload: bytes,
        timeout: float,
        settled: Callable[[Outcome], None],
        patience: float | None = None,
    ):
        self.id = message_id
        self.action = action
        self.payload = payload
        self.timeout = timeout
        self.deadline: float | None = None  # In our queue: when to be sent by (None: whenever); then: when answered by.
        self.patience = patience  # s in our queue, after which it is dropped unsent: nobody expects it any more.
        self.settled = settled

    @property
    def sent(self) -> float:
        """When it was sent, on the clock of the conversation (s); only once it was."""
        return self.deadline - self.timeout


@dataclass(frozen=True, slots=True)
class Answered:
    """The other side answered; `payload` are the bytes of its response."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The other side answered with a CALLERROR."""

    error: OcppError
    code: str


@dataclass(frozen=True, slots=True)
class Expired:
    """No answer came in time: whether the call took effect is unknown."""

    id: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The conversation, or the time it could be sent in, ended first. `sent` tells whether the call may have taken effect."""

    id: str
    sent: bool


Outcome = Answered | Refused | Expired | Dropped


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no frame, or (2.1) no result; `answer` is what to send back, if anything, `following` what then."""

    error: OcppError
    answer: bytes | None
    following: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame that concerns nobody: a late or unsolicited answer."""

    reason: str


class QueueFull(Exception):
    """Too many calls wait for this station's answers. Try again when it has answered some."""


class Peer:
    """One side of the conversation on one connection, in the dialect of `version`."""

    __slots__ = ("_queue", "version", "waiting")

    def __init__(self, version: Version):
        self.version = version
        self.waiting: Pending | None = None
        self._queue: deque[Pending] | None = None  # Created by the first call that has to wait.

    def receive(self, data: bytes, now: float) -> Call | Send | Malformed | Ignored | bytes | None:
        """Take one message.

        A `Call` (to be answered by the caller, in turn) and a `Send` are handed out. An answer settles the waiting call;
        what comes back then are the bytes of the next call to send, or None.
        """
        try:
            frame = frames.parse(data, self.version)
        except BadFrame as error:
            return Malformed(error, error.answer)
        kind = type(frame)
        if kind is Call or kind is Send:
            return frame
        if kind is CallResultError:
            return Ignored(
                f"our answer {frame.id} was not understood: {shortened(f'{frame.code} {frame.description}')}"
            )
        return self._settle(frame, now)

    def call(self, pending: Pending, now: float) -> bytes | None:
        """Send `pending` now (the bytes to send are returned) or queue it (None); QueueFull beyond 100 waiting."""
        if self.waiting is None:
            return self._send(pending, now)
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= MAX_QUEUED:
            raise QueueFull
        if pending.patience is not None:
            pending.deadline = now + pending.patience
        self._queue.append(pending)
        return None

    def tick(self, now: float) -> tuple[list[Expired], bytes | None]:
        """Let time pass: the call whose deadline has come expires, the next one may be sent."""
        pending = self.waiting
        if pending is None or now < pending.deadline:
            return [], None
        expired = Expired(pending.id)
        self.waiting = None
        pending.settled(expired)
        return [expired], self._next(now)

    def close(self) -> None:
        """The connection is gone: every call still open is dropped."""
        waiting, self.waiting = self.waiting, None
        queue, self._queue = self._queue, None
        if waiting is not None:
            waiting.settled(Dropped(waiting.id, sent=True))
        for pending in queue or ():
            pending.settled(Dropped(pending.id, sent=False))

    def _settle(self, frame: CallResult | CallError, now: float) -> Ignored | Malformed | bytes | None:
        pending = self.waiting
        if pending is None or frame.id != pending.id:
            return Ignored(f"answer to {frame.id}, which nobody waits for")
        self.waiting = None
        if type(frame) is CallResult:
            pending.settled(Answered(bytes(frame.payload)))
            if self.version is Version.V21 and (error := _violation(pending.action, frame)) is not None:
                return Malformed(error, frames.call_result_error(frame.id, error), self._next(now))
        else:
            error = OcppError(fault_from(frame.code), frame.description or "", _object(frame.details))
            pending.settled(Refused(error, frame.code))
        return self._next(now)

    def _next(self, now: float) -> bytes | None:
        # A sink that was just settled may have sent a call of its own.
        while self._queue and self.waiting is None:
            pending = self._queue.popleft()
            if not self._queue:
                self._queue = None  # An empty one takes 760 bytes.
            if pending.deadline is None or now <= pending.deadline:
                return self._send(pending, now)
            pending.settled(Dropped(pending.id, sent=False))
        return None

    def _send(self, pending: Pending, now: float) -> bytes:
        self.waiting = pending
        pending.deadline = now + pending.timeout
        return frames.call(pending.id, pending.action, pending.payload)


def _object(details: msgspec.Raw) -> dict[str, Any]:
    """Details as they were sent; stations send texts, null and worse, too, which tell nothing (T64)."""
    try:
        return msgspec.json.decode(details, type=dict[str, Any])
    except (ValueError, RecursionError):
        return {}


def _violation(action_name: str, frame: CallResult) -> OcppError | None:
    """Why a result cannot be understood: 2.1 wants to be told."""
    action = actions(Version.V21).get(action_name)
    if action is None or action.response is None:
        return None
    try:
        action.decode_response(frame.payload)
    except (ValueError, RecursionError) as error:
        return OcppError(Fault.FORMAT, f"The result of {action_name} cannot be understood: {error}")
    return None
