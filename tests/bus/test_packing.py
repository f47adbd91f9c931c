"""Packing: few messages, bounded, in order."""

from __future__ import annotations

import json

import msgspec

from csms.bus.packing import Packed, packed
from csms.storage.outbox import Entry


def entry(id: int, operator: str = "A", events: int = 1, size: int = 10) -> Entry:
    event = msgspec.Raw(json.dumps({"type": "t", "x": "x" * size}, separators=(",", ":")).encode())
    return Entry(id, 0, operator, f"CS-{id}", [event] * events)


def ids(message: Packed) -> list[str]:
    return [event["event_id"] for event in json.loads(message.payload)["events"]]


def test_page_of_one_operator_is_one_message() -> None:
    [message] = packed([entry(4), entry(5, events=2)], 100, 10_000)
    assert json.loads(message.payload)["events"][0] == {
        "event_id": "4-0", "operator": "A", "station": "CS-4", "type": "t", "x": "x" * 10,
    }  # fmt: skip
    assert ids(message) == ["4-0", "5-0", "5-1"]
    assert (message.operator, message.events, message.upto) == ("A", 3, 5)


def test_each_operator_has_its_own_message_and_the_last_one_completes_the_page() -> None:
    messages = packed([entry(1, "A"), entry(2, "B"), entry(3, "A")], 100, 10_000)
    assert [(message.operator, ids(message), message.upto) for message in messages] == [
        ("A", ["1-0", "3-0"], None),
        ("B", ["2-0"], 3),
    ]


def test_number_of_events_is_bounded() -> None:
    messages = packed([entry(1, events=5)], 2, 10_000)
    assert [ids(message) for message in messages] == [["1-0", "1-1"], ["1-2", "1-3"], ["1-4"]]
    assert [message.upto for message in messages] == [None, None, 1]


def test_size_is_bounded_and_used() -> None:
    messages = packed([entry(id, size=100) for id in range(1, 200)], 1000, 4096)
    assert all(len(message.payload) <= 4096 for message in messages)
    assert all(len(message.payload) > 3800 for message in messages[:-1])
    assert [id for message in messages for id in ids(message)] == [f"{id}-0" for id in range(1, 200)]


def test_event_larger_than_the_bound_goes_alone() -> None:
    messages = packed([entry(1), entry(2, size=5000), entry(3)], 100, 1000)
    assert [ids(message) for message in messages] == [["1-0"], ["2-0"], ["3-0"]]


def test_empty_page_makes_no_message() -> None:
    assert packed([], 100, 1000) == []
