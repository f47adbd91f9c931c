"""What a station owes arrives in order, again and again until it is answered, and is written down."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from csms.ocpp.version import Version
from simulators.ledger import read
from simulators.session import Why

V16, V201 = Version.V16, Version.V201


def test_what_happened_offline_is_told_afterwards_in_order_with_its_own_times(glass):
    glass.office.away = ConnectionRefusedError()
    glass.station.link.cut()
    outlet = glass.charge()
    glass.pass_time(61)
    outlet.stop(Why.LOCAL)
    assert glass.begins == glass.ends == []
    assert not glass.station.owes_nothing

    glass.office.away = None
    glass.pass_time(400)
    [begin], [end] = glass.begins, glass.ends
    session = glass.station.sessions[0]
    assert datetime.fromisoformat(begin["timestamp"]) == session.begin.at
    assert datetime.fromisoformat(end["timestamp"]) == session.end.at
    assert glass.station.owes_nothing
    assert session.acknowledged
    if glass.station.plan.version is V16:
        assert {meter["transactionId"] for meter in glass.office.of("MeterValues")} == {77}
    else:
        assert all(event["offline"] for event in glass.office.of("TransactionEvent"))
    assert glass.office.actions.count("BootNotification") == 1  # A reconnect is no boot.


def test_a_start_without_an_answer_is_sent_again_word_for_word(glass):
    action = glass.transaction_action
    glass.office.silent_about = {action}
    glass.charge()
    glass.station.link.cut()
    glass.office.silent_about = set()
    glass.pass_time(60)

    first, again = glass.office.of(action)[:2]
    assert first == again
    assert glass.station.owes_nothing


@pytest.mark.parametrize("keeps", [True, False])
def test_a_message_sent_again_keeps_its_id_or_not_as_its_maker_likes(make_glass, keeps):
    glass = make_glass(V16, keeps_message_ids=keeps).connect()
    glass.office.silent_about = {"StartTransaction"}
    glass.charge()
    glass.station.link.cut()
    glass.pass_time(60)
    ids = [i for i, name in zip(glass.office.ids, glass.office.actions, strict=True) if name == "StartTransaction"]

    assert (ids[0] == ids[1]) is keeps


def test_a_message_the_server_keeps_refusing_is_given_up(glass):
    action = glass.transaction_action
    glass.office.refuses = {action: "InternalError"}
    outlet = glass.charge()
    glass.pass_time(120)
    glass.office.refuses = {}
    outlet.stop(Why.LOCAL)
    glass.pass_time(60)

    assert len([1 for payload in glass.office.of(action) if payload == glass.office.of(action)[0]]) == 3
    assert glass.station.sessions[0].given_up
    assert glass.station.owes_nothing
    if glass.station.plan.version is V16:  # Without an id there is nothing to stop.
        assert glass.office.of("StopTransaction") == []


def test_every_transaction_message_and_its_answer_are_written_down(make_glass, ledger):
    glass = make_glass(V16, ledger=ledger).connect()
    outlet = glass.charge()
    glass.pass_time(61)
    outlet.stop(Why.LOCAL)
    glass.pass_time(1)
    ledger.close()
    lines = list(read(ledger.path))

    assert [(line.kind, line.action) for line in lines] == [
        ("sent", "StartTransaction"), ("answered", "StartTransaction"),
        ("sent", "MeterValues"), ("answered", "MeterValues"),
        ("sent", "StopTransaction"), ("answered", "StopTransaction"),
    ]  # fmt: skip
    assert json.loads(bytes(lines[1].payload))["transactionId"] == 77
    assert [line.letter for line in lines] == [1, 1, 2, 2, 3, 3]


def test_a_refusal_is_written_down_with_its_code(make_glass, ledger):
    glass = make_glass(V201, ledger=ledger).connect()
    glass.office.refuses = {"TransactionEvent": "InternalError"}
    glass.charge()
    ledger.close()

    assert [(line.kind, line.code) for line in read(ledger.path)][:2] == [
        ("sent", None),
        ("refused", "InternalError"),
    ]
