"""The conversation: two peers joined by their bytes, or one peer and what is said to it."""

from __future__ import annotations

from collections import deque

import pytest

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

V16, V201, V21 = Version.V16, Version.V201, Version.V21


class Side:
    """A peer, the bytes it sends, and what became of its calls."""

    def __init__(self, version: Version = V201):
        self.peer = Peer(version)
        self.sent: deque[bytes] = deque()
        self.outcomes: dict[str, Outcome] = {}
        self.received: list[Call] = []

    def call(self, message_id: str, *, at: float = 0.0, timeout: float = 30.0) -> None:
        settled = lambda outcome: self.outcomes.__setitem__(message_id, outcome)  # noqa: E731
        self.send(self.peer.call(Pending(message_id, "Heartbeat", b"{}", timeout, settled), at))

    def send(self, data: bytes | None) -> None:
        if data is not None:
            self.sent.append(data)

    def hear(self, data: bytes, at: float = 0.0) -> object:
        heard = self.peer.receive(data, at)
        if isinstance(heard, bytes):
            self.send(heard)
        elif isinstance(heard, Call):
            self.received.append(heard)
        return heard

    def answer(self, payload: bytes = b"{}") -> None:
        self.send(frames.call_result(self.received.pop(0).id, payload))


def talk(one: Side, other: Side) -> None:
    """Carry what both have to say until both are silent."""
    while one.sent or other.sent:
        while one.sent:
            other.hear(one.sent.popleft())
        while other.sent:
            one.hear(other.sent.popleft())


@pytest.fixture
def station() -> Side:
    return Side()


@pytest.fixture
def server() -> Side:
    return Side()


def test_an_answer_settles_the_call_it_belongs_to(station, server):
    station.call("1")
    talk(station, server)
    server.answer(b'{"currentTime":"now"}')
    talk(station, server)

    assert station.outcomes == {"1": Answered(b'{"currentTime":"now"}')}
    assert station.peer.waiting is None


def test_second_call_waits_for_the_first_answer(station, server):
    station.call("1")
    station.call("2")
    talk(station, server)
    assert [call.id for call in server.received] == ["1"]

    server.answer()
    talk(station, server)
    assert [call.id for call in server.received] == ["2"]


def test_calls_that_wait_are_sent_in_the_order_they_were_made(station, server):
    for number in range(5):
        station.call(str(number))
    heard = []
    for _ in range(5):
        talk(station, server)
        heard.append(server.received[0].id)
        server.answer()
    talk(station, server)

    assert heard == ["0", "1", "2", "3", "4"]
    assert list(station.outcomes) == heard


def test_both_sides_may_have_a_call_under_way_at_once(station, server):
    station.call("mine")
    server.call("yours")
    talk(station, server)
    assert station.received
    assert server.received

    server.answer()
    station.answer()
    talk(station, server)
    assert station.outcomes["mine"] == server.outcomes["yours"] == Answered(b"{}")


def test_both_sides_may_use_the_same_id(station, server):
    station.call("1")
    server.call("1")
    talk(station, server)
    server.answer(b'{"from":"server"}')
    talk(station, server)

    assert station.outcomes == {"1": Answered(b'{"from":"server"}')}
    assert server.outcomes == {}


@pytest.mark.parametrize(
    ("spelling", "fault"),
    [
        ("FormationViolation", Fault.FORMAT),
        ("FormatViolation", Fault.FORMAT),
        ("OccurenceConstraintViolation", Fault.OCCURRENCE),
        ("SomethingOfTheVendors", Fault.GENERIC),
    ],
)
@pytest.mark.parametrize("version", [V16, V201, V21])
def test_a_refusal_is_understood_in_every_spelling(version, spelling, fault):
    side = Side(version)
    side.call("1")
    side.hear(f'[4,"1","{spelling}","because",{{}}]'.encode())

    refused = side.outcomes["1"]
    assert isinstance(refused, Refused)
    assert (refused.error.fault, refused.error.description, refused.code) == (fault, "because", spelling)


def test_an_answer_to_nothing_or_to_another_id_is_ignored(station):
    assert isinstance(station.hear(b'[3,"1",{}]'), Ignored)

    station.call("1")
    assert isinstance(station.hear(b'[3,"2",{}]'), Ignored)
    assert station.outcomes == {}


def test_a_second_answer_changes_nothing(station):
    station.call("1")
    station.hear(b'[3,"1",{"first":true}]')

    assert isinstance(station.hear(b'[3,"1",{"first":false}]'), Ignored)
    assert station.outcomes == {"1": Answered(b'{"first":true}')}


def test_a_call_expires_at_its_deadline_and_not_before(station):
    station.call("1", at=100.0, timeout=30.0)

    assert station.peer.tick(129.9) == ([], None)
    assert station.peer.tick(130.0) == ([Expired("1")], None)
    assert station.outcomes == {"1": Expired("1")}


def test_a_late_answer_is_ignored(station):
    station.call("1")
    station.peer.tick(30.0)

    assert isinstance(station.hear(b'[3,"1",{}]', at=31.0), Ignored)


def test_waiting_in_the_queue_takes_nothing_from_a_calls_time(station):
    station.call("1", at=0.0)
    station.call("2", at=0.0)
    _, following = station.peer.tick(30.0)

    assert frames.parse(following, V201).id == "2"
    assert station.peer.tick(59.9) == ([], None)
    assert station.peer.tick(60.0) == ([Expired("2")], None)


def test_a_peer_without_calls_has_no_deadline(station):
    assert station.peer.tick(1e9) == ([], None)


def test_a_full_queue_says_so_and_keeps_what_it_has(station):
    station.call("under way")
    for number in range(MAX_QUEUED):
        station.call(str(number))

    with pytest.raises(QueueFull):
        station.call("one too many")
    station.hear(b'[3,"under way",{}]')
    assert frames.parse(station.sent[-1], V201).id == "0"


def test_closing_drops_every_call_and_tells_which_was_sent(station):
    station.call("sent")
    station.call("queued")
    station.peer.close()

    assert station.outcomes == {"sent": Dropped("sent", sent=True), "queued": Dropped("queued", sent=False)}
    station.peer.close()  # Harmless.


@pytest.mark.parametrize("end", ["answer", "expiry"])
def test_who_is_told_of_an_outcome_may_call_at_once_and_goes_first(station, end):
    def again(_: Outcome) -> None:
        station.call("2")

    station.send(station.peer.call(Pending("1", "Heartbeat", b"{}", 30.0, again), 0.0))
    station.call("3")
    if end == "answer":
        station.hear(b'[3,"1",{}]')
    else:
        station.send(station.peer.tick(30.0)[1])

    assert [frames.parse(data, V201).id for data in station.sent] == ["1", "2"]
    station.hear(b'[3,"2",{}]', at=30.0)
    assert frames.parse(station.sent[-1], V201).id == "3"


def test_bytes_that_are_no_frame_come_with_the_answer_they_ask_for(station):
    heard = station.hear(b"nonsense")

    assert isinstance(heard, Malformed)
    assert heard.answer == frames.call_error(
        "-1", OcppError(Fault.RPC_FRAMEWORK, "The message is not a JSON array."), V201
    )


def test_a_malformed_answer_does_not_settle_what_waits(station):
    station.call("1")
    heard = station.hear(b'[3,"1"]')

    assert isinstance(heard, Malformed)
    assert heard.answer is None
    assert station.outcomes == {}


def test_a_send_of_21_is_handed_out_while_a_call_waits():
    side = Side(V21)
    side.call("1")

    heard = side.hear(b'[6,"2","NotifyPeriodicEventStream",{"id":1}]')
    assert type(heard) is Send
    assert side.outcomes == {}


def test_a_result_error_of_21_is_told_and_settles_nothing():
    side = Side(V21)
    side.call("1")

    heard = side.hear(b'[5,"1","FormatViolation","no",{}]')
    assert isinstance(heard, Ignored)
    assert "FormatViolation" in heard.reason
    assert side.outcomes == {}


def test_a_result_that_21_cannot_read_is_told_and_the_next_call_follows():
    side = Side(V21)
    outcomes: dict[str, Outcome] = {}
    for number in "12":
        pending = Pending(
            number, "ClearCache", b"{}", 30.0, lambda outcome, number=number: outcomes.update({number: outcome})
        )
        side.send(side.peer.call(pending, 0.0))

    heard = side.hear(b'[3,"1",{"status":7}]')
    assert isinstance(heard, Malformed)
    assert heard.answer.startswith(b'[5,"1","FormatViolation"')
    assert frames.parse(heard.following, V21).id == "2"
    assert outcomes == {"1": Answered(b'{"status":7}')}, "who asked judges the payload himself"
    assert side.hear(b'[3,"2",{"status":"Accepted"}]') is None


@pytest.mark.parametrize("version", [V16, V201])
def test_a_result_that_cannot_be_read_is_told_in_21_only(version):
    side = Side(version)
    side.call("1")

    assert side.hear(b'[3,"1",{"status":7}]') is None


def test_a_call_whose_turn_comes_too_late_is_dropped_unsent():
    side = Side(V16)
    side.call("1", timeout=30.0)
    outcomes: dict[str, Outcome] = {}
    for number, patience in (("2", 29.0), ("3", 30.0), ("4", None)):
        pending = Pending(
            number,
            "ClearCache",
            b"{}",
            30.0,
            lambda outcome, number=number: outcomes.update({number: outcome}),
            patience,
        )
        assert side.peer.call(pending, 0.0) is None
    _, sent = side.peer.tick(30.0)
    assert frames.parse(sent, V16).id == "3"
    assert outcomes == {"2": Dropped("2", sent=False)}
    _, sent = side.peer.tick(500.0)
    assert frames.parse(sent, V16).id == "4", "who has no patience to lose waits for ever"
