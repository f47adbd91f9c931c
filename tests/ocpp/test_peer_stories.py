"""Whole conversations of two joined peers, drawn step by step: calls both ways, answers late, twice, unasked or broken.

What must hold at every step: each side has one call under way at most, calls leave in the order they were made, each of
them settles exactly once, and with what was answered to it and to no other.
"""

from __future__ import annotations

import json
import os
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from csms.ocpp import frames
from csms.ocpp.catalogue import Version
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.frames import Call, Send
from csms.ocpp.peer import (
    MAX_QUEUED,
    Answered,
    Dropped,
    Expired,
    Ignored,
    Malformed,
    Outcome,
    Peer,
    Pending,
    QueueFull,
    Refused,
)

pytestmark = pytest.mark.fuzz

TIMEOUT = 30.0
NAMES = ("station", "csms")
sides = st.sampled_from(NAMES)
flips = st.booleans()


class Side:
    """A peer, the wire that leads away from it, and what it remembers of its calls."""

    def __init__(self, name: str, version: Version):
        self.name = name
        self.peer = Peer(version)
        self.wire: deque[bytes] = deque()  # Sent, and not yet heard.
        self.made: list[str] = []
        self.left: list[str] = []  # Those that were put on the wire, in that order.
        self.settled: dict[str, list[Outcome]] = {}
        self.to_answer: list[Call] = []  # The other's calls.
        self.answered: list[bytes] = []  # Answers it gave, to be given again.
        self.sends = 0

    def send(self, data: bytes | None) -> None:
        if data is not None:
            self.wire.append(data)
            if json.loads(data)[0] == 2:
                self.left.append(json.loads(data)[1])

    @property
    def open(self) -> list[str]:
        return [id for id in self.left if not self.settled[id]]


class Conversation(RuleBasedStateMachine):
    """Two sides, joined; time passes when a rule says so."""

    @initialize(version=st.sampled_from(list(Version)))
    def begin(self, version: Version) -> None:
        self.version = version
        self.now = 0.0
        self.sides = {name: Side(name, version) for name in NAMES}
        self.truth: dict[str, list[object]] = {}  # What was answered to each call, in order.

    def other(self, side: Side) -> Side:
        return self.sides[NAMES[1 - NAMES.index(side.name)]]

    # What the two do.

    @rule(name=sides, burst=st.sampled_from((1, 1, 3, MAX_QUEUED + 5)))
    def call(self, name: str, burst: int) -> None:
        side = self.sides[name]
        for _ in range(burst):
            id = f"{name}-{len(side.made)}"
            side.settled[id] = []
            waiting = len(side.peer._queue or ())
            try:
                data = side.peer.call(Pending(id, "Heartbeat", b"{}", TIMEOUT, side.settled[id].append), self.now)
            except QueueFull:
                assert waiting == MAX_QUEUED
                del side.settled[id]
                return
            side.made.append(id)
            side.send(data)

    @precondition(lambda self: any(side.wire for side in self.sides.values()))
    @rule(name=sides)
    def hear(self, name: str) -> None:
        """A side hears what the other has sent: all of it."""
        side = self.sides[name]
        wire = self.other(side).wire
        while wire:
            self.take(side, wire.popleft())

    def take(self, side: Side, data: bytes) -> object:
        heard = side.peer.receive(data, self.now)
        match heard:
            case bytes():
                side.send(heard)
            case Call():
                side.to_answer.append(heard)
            case Send():
                side.sends += 1
            case Malformed(answer=answer, following=following):
                for told in (answer, following):
                    side.send(told)
        return heard

    @precondition(lambda self: any(side.to_answer for side in self.sides.values()))
    @rule(name=sides, how=st.sampled_from(("result", "result", "error", "broken")), newest=flips)
    def answer(self, name: str, how: str, newest: bool) -> None:
        side = self.sides[name]
        if not side.to_answer:
            return
        id = side.to_answer.pop(-1 if newest else 0).id
        stamp = f"{name} says {len(side.answered)}"
        if how == "error":
            data = frames.call_error(id, OcppError(Fault.INTERNAL, stamp), self.version)
        else:
            # No Heartbeat's answer: in 2.1 that is told with a CALLRESULTERROR. Else who asked finds out for himself.
            payload = {"currentTime": "2026-05-04T12:00:00Z", "customData": {"vendorId": stamp}}
            data = frames.call_result(id, json.dumps({"stamp": stamp} if how == "broken" else payload).encode())
        self.truth.setdefault(id, []).append(stamp)
        side.answered.append(data)
        side.send(data)

    @precondition(lambda self: any(side.answered for side in self.sides.values()))
    @rule(name=sides, which=st.integers(0, 1000))
    def answer_again(self, name: str, which: int) -> None:
        side = self.sides[name]
        if side.answered:
            side.send(side.answered[which % len(side.answered)])

    @rule(name=sides, error=flips)
    def answer_what_nobody_asked(self, name: str, error: bool) -> None:
        side = self.sides[name]
        data = frames.call_error("nobody", OcppError(Fault.INTERNAL), self.version) if error else b'[3,"nobody",{}]'
        assert isinstance(self.take(self.other(side), data), Ignored)

    @rule(name=sides)
    def tell_that_an_answer_was_not_understood(self, name: str) -> None:
        side = self.sides[name]
        heard = self.take(side, frames.call_result_error("x", OcppError(Fault.FORMAT)))
        assert isinstance(heard, Ignored if self.version is Version.V21 else Malformed)

    @rule(name=sides)
    def send_unanswered(self, name: str) -> None:
        side = self.sides[name]
        before = side.sends
        heard = self.take(side, b'[6,"s","NotifyPeriodicEventStream",{}]')
        assert isinstance(heard, Send if self.version is Version.V21 else Malformed)
        assert side.sends == before + (self.version is Version.V21)

    @rule(
        name=sides, junk=st.sampled_from((b"", b"[", b"{}", b"[2]", b'[3,"1"]', b"[2,1,2,3]", b'[4,{},"x"]', b"\xff"))
    )
    def say_junk(self, name: str, junk: bytes) -> None:
        assert isinstance(self.take(self.sides[name], junk), Malformed)

    @rule(seconds=st.sampled_from((1.0, 1.0, 1.0, 29.0, 31.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for side in self.sides.values():
            expired, data = side.peer.tick(self.now)
            assert len(expired) <= 1
            side.send(data)

    @rule(really=st.integers(0, 7))
    def hang_up_and_come_back(self, really: int) -> None:
        """The connection is gone: what was under way on both sides is dropped, and nothing of it comes back."""
        if really:  # Seldom, else no story gets far.
            return
        for side in self.sides.values():
            under_way = side.open
            side.peer.close()
            assert all(isinstance(outcome, Dropped) for id in under_way for outcome in side.settled[id])
            side.wire.clear()
            side.to_answer.clear()
            side.peer = Peer(self.version)

    # What always holds.

    @invariant()
    def one_call_of_each_side_is_under_way(self) -> None:
        for side in getattr(self, "sides", {}).values():
            waiting = side.peer.waiting
            assert side.open == ([] if waiting is None else [waiting.id])
            queue = [pending.id for pending in side.peer._queue or ()]
            assert waiting is not None or not queue
            assert len(queue) <= MAX_QUEUED

    @invariant()
    def calls_leave_in_the_order_they_were_made(self) -> None:
        for side in getattr(self, "sides", {}).values():
            dropped = {id for id, outcomes in side.settled.items() if outcomes and _unsent(outcomes[0])}
            assert side.left == [id for id in side.made if id not in dropped][: len(side.left)]

    @invariant()
    def each_call_settles_once_and_with_its_own_answer(self) -> None:
        for side in getattr(self, "sides", {}).values():
            for id, outcomes in side.settled.items():
                assert len(outcomes) <= 1
                for outcome in outcomes:
                    self.is_its_own(id, outcome)

    def is_its_own(self, id: str, outcome: Outcome) -> None:
        match outcome:
            case Answered(payload):
                read = json.loads(payload)
                assert (read.get("stamp") or read["customData"]["vendorId"]) in self.truth[id]
            case Refused(error):
                assert error.description in self.truth[id]
            case Expired(of) | Dropped(of):
                assert of == id

    def teardown(self) -> None:
        for side in getattr(self, "sides", {}).values():
            side.peer.close()
            assert all(len(outcomes) == 1 for outcomes in side.settled.values()), "every call settled"


def _unsent(outcome: Outcome) -> bool:
    return isinstance(outcome, Dropped) and not outcome.sent


def test_I5_no_story_of_two_peers_breaks_their_law():
    many = int(os.environ.get("CSMS_FUZZ_STORIES", "100"))
    run_state_machine_as_test(Conversation, settings=settings(max_examples=many, stateful_step_count=60, deadline=None))
