"""What a ledger says, put together."""

from __future__ import annotations

import msgspec

from simulators.account import Sample, micros, told_by
from simulators.ledger import Line

OWNER = {"operator": "OP", "station": "CS-1", "session": 1}


def lines(version: str, *messages: tuple) -> list[Line]:
    """Lines of one session: (action, payload, answer or None)."""
    written = []
    for letter, (action, payload, answer) in enumerate(messages, 1):
        about = {
            **OWNER,
            "at": 0.0,
            "version": version,
            "letter": letter,
            "id": f"run.{letter}",
            "action": action,
        }
        written.append(Line(kind="sent", payload=_raw(payload), **about))
        if answer is not None:
            written.append(Line(kind="answered", payload=_raw(answer), **about))
    return written


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def reading(at: str, value, **more) -> dict:
    return {"timestamp": at, "sampledValue": [{"value": value, **more}]}


START = {"connectorId": 2, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-05-04T12:00:00.001Z"}
STOP = {"transactionId": 7, "meterStop": 900, "timestamp": "2026-05-04T13:00:00Z"}


def test_a_16_session_has_the_id_its_start_was_answered_with():
    account = told_by(lines("1.6", ("StartTransaction", START, {"transactionId": 7}), ("StopTransaction", STOP, {})))
    [session] = account.sessions

    assert (session.transaction_id, session.outlet, session.token) == ("7", 2, "TAG")
    assert session.started_at == micros("2026-05-04T12:00:00.001Z")
    assert (session.meter_start_wh, session.meter_stop_wh) == ({100.0}, {900.0})
    assert session.acknowledged
    assert session.end_acknowledged
    assert (account.acknowledged, account.unacknowledged) == (2, 0)


def test_without_an_answer_nothing_is_acknowledged():
    [session] = told_by(lines("1.6", ("StartTransaction", START, None))).sessions

    assert not session.acknowledged
    assert session.transaction_id is None


def test_attempts_at_the_same_message_are_one_message():
    written = lines("1.6", ("StartTransaction", START, {"transactionId": 7}))
    account = told_by([written[0], written[0], *written])

    assert (account.acknowledged, account.unacknowledged) == (1, 0)
    assert len(account.sessions) == 1


def test_two_runs_in_one_ledger_are_not_mixed_up():
    first = lines("1.6", ("StartTransaction", START, {"transactionId": 7}))
    second = lines("1.6", ("StartTransaction", START | {"meterStart": 900}, {"transactionId": 8}))
    for line in second:
        line.id = "later.1"

    assert [session.transaction_id for session in told_by(first + second).sessions] == ["7", "8"]


def event(kind: str, at: str, value, **more) -> dict:
    return {
        "eventType": kind, "timestamp": at, "transactionInfo": {"transactionId": "T"},
        "meterValue": [reading(at, value)], **more,
    }  # fmt: skip


def test_a_2x_session_is_what_its_events_say():
    written = lines(
        "2.0.1",
        ("TransactionEvent", event("Started", "2026-05-04T12:00:00Z", 100, evse={"id": 3}), {}),
        ("TransactionEvent", event("Updated", "2026-05-04T12:01:00Z", 200, idToken={"idToken": "TAG"}), {}),
        ("TransactionEvent", event("Ended", "2026-05-04T12:02:00Z", 300), {}),
    )
    [session] = told_by(written).sessions

    assert (session.transaction_id, session.outlet, session.token) == ("T", 3, "TAG")
    assert (session.meter_start_wh, session.meter_stop_wh) == ({100.0}, {300.0})
    assert session.end_acknowledged
    assert [sample.register_wh for sample in session.samples] == [100.0, 200.0, 300.0]


def test_what_was_not_acknowledged_may_or_may_not_have_moved_the_meter():
    written = lines(
        "2.0.1",
        ("TransactionEvent", event("Started", "2026-05-04T12:00:00Z", 100), None),
        ("TransactionEvent", event("Updated", "2026-05-04T12:01:00Z", 200), {}),
        ("TransactionEvent", event("Ended", "2026-05-04T12:02:00Z", 300), None),
    )
    [session] = told_by(written).sessions

    assert (session.meter_start_wh, session.meter_stop_wh) == ({100.0, 200.0}, {200.0, 300.0})
    assert session.acknowledged
    assert not session.end_acknowledged


def registers(*values: dict) -> list[float | None]:
    at = "2026-05-04T12:00:00Z"
    meter = {"connectorId": 1, "transactionId": 7, "meterValue": [reading(at, **value) for value in values]}
    [session] = told_by(lines("1.6", ("MeterValues", meter, {}))).sessions
    return [sample.register_wh for sample in session.samples]


def test_a_register_is_read_in_whatever_unit_it_was_written():
    register = "Energy.Active.Import.Register"
    assert registers(
        {"value": "1234"},
        {"value": "1.234", "unit": "kWh", "measurand": register},
        {"value": 1.234, "unitOfMeasure": {"unit": "kWh"}},
        {"value": 1.234, "unitOfMeasure": {"multiplier": 3}},
        {"value": 1234, "unitOfMeasure": {"unit": "kWh", "multiplier": -3}},
        {"value": "50", "measurand": "SoC", "unit": "Percent"},
        {"value": "400", "measurand": register, "phase": "L1"},
    ) == [1234.0, 1234.0, 1234.0, 1234.0, 1234.0, None, None]


def test_times_are_whole_microseconds_of_any_zone():
    assert micros("1970-01-01T00:00:01.000001Z") == 1_000_001
    assert micros("1970-01-01T02:00:00+02:00") == 0
    assert micros("2026-05-04T12:00:00.123456Z") % 1_000_000 == 123_456


def test_readings_of_a_stop_count_too():
    stop = STOP | {"transactionData": [reading("2026-05-04T13:00:00Z", "900")]}
    [session] = told_by(lines("1.6", ("StopTransaction", stop, {}))).sessions

    assert session.samples == [Sample(micros("2026-05-04T13:00:00Z"), 900.0, True)]


def test_the_token_that_only_ends_a_2x_session_is_not_the_one_that_charges():
    about = {"transactionInfo": {"transactionId": "T"}, "timestamp": "2026-05-04T12:00:00Z"}
    began = {**about, "eventType": "Started", "triggerReason": "CablePluggedIn", "seqNo": 0}
    ended = {
        **about, "eventType": "Ended", "triggerReason": "StopAuthorized", "seqNo": 1,
        "idToken": {"idToken": "TAG", "type": "ISO14443"},
    }  # fmt: skip
    [session] = told_by(lines("2.0.1", ("TransactionEvent", began, {}), ("TransactionEvent", ended, {}))).sessions
    assert session.token is None
