"""What a station owes, in order."""

from __future__ import annotations

import pytest

from csms.ocpp import v16
from simulators import mailbox
from simulators.mailbox import Kind, Mailbox

HEARTBEAT = v16.Heartbeat()


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


def test_the_first_posted_is_the_first_owed(box):
    for kind in (Kind.BEGIN, Kind.METER, Kind.END):
        box.post(None, kind, HEARTBEAT)
    owed = []
    while (letter := box.first()) is not None:
        owed.append((letter.number, letter.kind))
        box.settle()

    assert owed == [(1, Kind.BEGIN), (2, Kind.METER), (3, Kind.END)]


def test_while_one_is_under_way_there_is_no_other(box):
    box.post(None, Kind.BEGIN, HEARTBEAT)
    box.post(None, Kind.END, HEARTBEAT)
    box.under_way = True

    assert box.first() is None
    assert len(box) == 2


def test_a_full_box_forgets_readings_and_never_a_start_or_an_end(box, monkeypatch):
    monkeypatch.setattr(mailbox, "CAPACITY", 2)
    for kind in (Kind.BEGIN, Kind.METER, Kind.METER, Kind.END, Kind.BEGIN):
        box.post(None, kind, HEARTBEAT)

    assert len(box) == 4
    assert box.forgotten == 1


def test_a_letter_is_named_after_its_message(box):
    box.post(None, Kind.BEGIN, HEARTBEAT)

    assert box.first().action == "Heartbeat"
