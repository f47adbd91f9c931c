"""The message trail: what is kept of whose messages, for how long, and what of it is shown."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from csms.domain.trail import TooManyTraces
from csms.gateway.trail import MOST_TRACES, OVERHEAD, Trail
from csms.ocpp import frames
from csms.ocpp.catalogue import Version
from csms.ocpp.frames import Call
from tests.conftest import NOW, Server


def call(action: str = "StatusNotification", id: str = "1", **payload: Any) -> Call:
    return frames.parse(json.dumps([2, id, action, payload]).encode(), Version.V16)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trail(clock: Clock) -> Trail:
    return Trail(clock=clock)


def actions(trail: Trail, station: int = 1, **narrowed: Any) -> list[str | None]:
    return [each.action for each in trail.of(station, **narrowed)]


def test_exchange_is_shown_with_both_frames_and_their_times(trail: Trail) -> None:
    trail.took(1, NOW, call(connectorId=1), b'[3,"1",{}]')
    [found] = trail.of(1)
    assert found.frame == [2, "1", "StatusNotification", {"connectorId": 1}]
    assert found.answer == [3, "1", {}]
    assert (found.at, found.answered_at) == (NOW, datetime.fromtimestamp(1000, UTC))
    assert (found.direction, found.outcome, found.message_id) == ("from_station", "answered", "1")


def test_outcome_tells_refusals_and_calls_that_got_no_answer(trail: Trail) -> None:
    trail.took(1, NOW, call(), b'[4,"1","FormationViolation","no",{}]')
    trail.took(1, NOW, call(), b"")
    unanswered, refused = trail.of(1)
    assert (unanswered.outcome, unanswered.answer, unanswered.answered_at) == ("unanswered", None, None)
    assert (refused.outcome, refused.answer[2]) == ("refused", "FormationViolation")


def test_latest_come_first_and_a_listing_goes_on_where_it_ended(trail: Trail) -> None:
    for action in ("A", "B", "C", "D"):
        trail.took(1, NOW, call(action), b"")
        trail.took(2, NOW, call("Other"), b"")
    assert actions(trail) == ["D", "C", "B", "A"]
    second = list(trail.of(1))[1]
    assert actions(trail, before=second.number) == ["B", "A"]
    assert actions(trail, action="B") == ["B"]


def test_heartbeats_are_left_out_but_for_a_traced_station(trail: Trail, clock: Clock) -> None:
    trail.trace(2, until=1010)
    for station in (1, 2):
        trail.took(station, NOW, call("Heartbeat"), b"[3")
    assert (actions(trail, 1), actions(trail, 2)) == ([], ["Heartbeat"])
    clock.now = 1010
    trail.took(2, NOW, call("Heartbeat"), b"[3")
    trail.took(2, NOW, call("B"), b"[3")
    assert trail.traced_until(2) is None
    assert actions(trail, 2) == ["B", "Heartbeat"], "what was traced can still be read"


def test_memory_is_bounded_and_a_trace_is_not_pushed_out_by_others(clock: Clock) -> None:
    trail = Trail(16 * OVERHEAD, clock)
    trail.trace(7, until=2000)
    trail.took(7, NOW, call("Kept"), b"")
    for _ in range(100):
        trail.took(1, NOW, call(), b"")
    assert 5 < len(actions(trail, 1)) < 10
    assert actions(trail, 7) == ["Kept"]


def test_without_memory_nothing_is_kept_but_traces(clock: Clock) -> None:
    trail = Trail(0, clock)
    trail.took(1, NOW, call(), b"")
    trail.odd(1, b"x", "odd", malformed=True)
    trail.trace(2, until=2000)
    trail.took(2, NOW, call("A"), b"")
    assert (actions(trail, 1), actions(trail, 2)) == ([], ["A"])


def test_as_many_traces_as_may_run_and_ended_ones_make_room(trail: Trail, clock: Clock) -> None:
    for station in range(MOST_TRACES):
        trail.trace(station, until=1010)
    with pytest.raises(TooManyTraces):
        trail.trace(99, until=1010)
    clock.now = 1011
    trail.trace(99, until=1020)
    assert len(trail._traces) == MOST_TRACES


def test_counted_bytes_are_about_what_is_taken() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        trail = Trail(1 << 20)
        for number in range(5000):
            trail.took(1, datetime.now(UTC), call(id=f"0123456789-{number}", a="x" * 80), b'[3,"%d",{}]' % number)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.7 < taken / (1 << 20) < 1.1


def test_what_is_no_frame_is_shown_as_text_and_cut(trail: Trail) -> None:
    trail.odd(1, b"\xff" + b"x" * 5000, "no JSON", malformed=True)
    [found] = trail.of(1)
    assert (found.outcome, found.reason, found.action) == ("malformed", "no JSON", None)
    assert len(found.frame) == 2048


# On a real socket


async def test_conversation_is_noted_in_its_order(quick: Server) -> None:
    station = await quick.connect()
    await station.boot()
    await station.send("StatusNotification", {"connectorId": "one"})
    await station.receive()
    await station.call("Heartbeat")
    await station.socket.send("not json")
    [number] = quick.gateway.stations
    await quick.until(lambda: len(list(quick.gateway.trail.of(number))) == 3)
    odd, refused, boot = quick.gateway.trail.of(number)
    assert (odd.outcome, odd.frame) == ("malformed", "not json")
    assert (refused.action, refused.outcome) == ("StatusNotification", "refused")
    assert (boot.action, boot.outcome, boot.answer[2]["status"]) == ("BootNotification", "answered", "Accepted")
    assert boot.at == NOW
