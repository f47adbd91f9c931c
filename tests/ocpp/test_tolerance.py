"""What real stations get wrong is read for what it means, and said; what means nothing is refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from csms.ocpp import v16, v201
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.repairs import NO_CLOCK, described
from csms.ocpp.tolerance import Decoded, decode

V16, V201, V21 = Version
NOON = "2026-03-01T12:00:00Z"
NOON_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)

BOOT = {"chargePointVendor": "v", "chargePointModel": "m"}
START = {"connectorId": 1, "idTag": "tag", "meterStart": 12, "timestamp": NOON}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
STATUS_2 = {"timestamp": NOON, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
EVENT = {
    "eventType": "Updated",
    "timestamp": NOON,
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 1,
    "transactionInfo": {"transactionId": "t"},
}


def read(version: Version, name: str, payload: Any, **how: bool) -> Decoded:
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return decode(actions(version)[name], raw, **how)


def fault(version: Version, name: str, payload: Any, **how: bool) -> Fault:
    with pytest.raises(OcppError) as caught:
        read(version, name, payload, **how)
    return caught.value.fault


def metered(**sample: Any) -> dict[str, Any]:
    return {"connectorId": 1, "meterValue": [{"timestamp": NOON, "sampledValue": [sample]}]}


def event(*values: Any) -> dict[str, Any]:
    return EVENT | {"meterValue": [{"timestamp": NOON, "sampledValue": [{"value": value} for value in values]}]}


def test_a_correct_message_needs_no_repair() -> None:
    assert read(V16, "BootNotification", BOOT) == (
        v16.BootNotification(charge_point_vendor="v", charge_point_model="m"),
        (),
    )


# Trap, version, action, payload, the attribute it is about, what it becomes, the repair.
REPAIRED: list[tuple[str, Version, str, Any, str, Any, str]] = [
    ("T52", V16, "BootNotification", BOOT | {"iccid": None}, "iccid", None, "null_for_absent"),
    ("T52", V16, "GetConfiguration", {"key": None}, "key", None, "null_for_absent"),
    ("T52", V201, "TransactionEvent", EVENT | {"meterValue": []}, "meter_value", None, "empty_for_absent"),
    ("T52", V201, "Heartbeat", {"customData": None}, "custom_data", None, "null_for_absent"),
    ("T52", V201, "Heartbeat", {"customData": "x"}, "custom_data", None, "unusable_for_absent"),
    ("T52", V16, "MeterValues", {"connectorId": 1, "meterValue": []}, "meter_value", [], "empty_kept"),
    ("T53", V16, "StartTransaction", START | {"meterStart": "12"}, "meter_start", 12, "number_from_text"),
    ("T53", V16, "StartTransaction", START | {"meterStart": " 12.0 "}, "meter_start", 12, "number_from_text"),
    ("T53", V16, "StartTransaction", START | {"meterStart": 12.0}, "meter_start", 12, "whole_number"),
    ("T53", V16, "StartTransaction", START | {"idTag": 4711}, "id_tag", "4711", "text_from_number"),
    ("T53", V16, "BootNotification", BOOT | {"iccid": 10**25}, "iccid", "1" + "0" * 19, "truncated"),
    ("T53", V201, "TransactionEvent", EVENT | {"offline": "True"}, "offline", True, "boolean_from_text"),
    ("T31", V16, "Authorize", {"idTag": "t" * 21}, "id_tag", "t" * 21, "kept_whole"),
    ("T31", V16, "StartTransaction", START | {"idTag": "t" * 99}, "id_tag", "t" * 99, "kept_whole"),
    ("", V16, "SignCertificate", {"csr": "c" * 5501}, "csr", "c" * 5501, "kept_whole"),
    (
        "T46",
        V16,
        "BootNotification",
        BOOT | {"chargePointVendor": "v" * 21},
        "charge_point_vendor",
        "v" * 20,
        "truncated",
    ),
    ("T38", V16, "StatusNotification", STATUS | {"errorCode": "Error"}, "error_code", "OtherError", "unknown_value"),
    ("T38", V16, "StatusNotification", STATUS | {"status": "Bored"}, "status", "Unavailable", "unknown_value"),
    ("T38", V16, "StatusNotification", STATUS | {"status": " charging"}, "status", "Charging", "respelled"),
    (
        "T38",
        V201,
        "StatusNotification",
        STATUS_2 | {"connectorStatus": "Charging"},
        "connector_status",
        "Occupied",
        "respelled",
    ),
    (
        "T38",
        V201,
        "StatusNotification",
        STATUS_2 | {"connectorStatus": "?"},
        "connector_status",
        "Unavailable",
        "unknown_value",
    ),
    ("T38", V201, "TransactionEvent", EVENT | {"triggerReason": "Moon"}, "trigger_reason", "Moon", "unknown_value"),
    ("", V16, "DataTransfer", {"vendorId": "v", "data": {"a": [1]}}, "data", '{"a":[1]}', "text_from_json"),
    ("17", V16, "BootNotification", BOOT | {"colour": "red"}, "iccid", None, "unknown_property"),
    ("17", V201, "Heartbeat", {"customData": {"a": 1}}, "custom_data", {"a": 1}, "vendor_unnamed"),
]


@pytest.mark.parametrize(("trap", "version", "name", "payload", "attribute", "becomes", "repair"), REPAIRED)
def test_a_known_mistake_is_repaired_and_named(
    trap: str, version: Version, name: str, payload: Any, attribute: str, becomes: Any, repair: str
) -> None:
    message, repairs = read(version, name, payload)
    assert getattr(message, attribute) == becomes
    assert repairs[-1].split()[0] == repair
    assert repair in dict(described())


@pytest.mark.parametrize(("trap", "version", "name", "payload", "attribute", "becomes", "repair"), REPAIRED)
def test_strictness_turns_repair_off(
    trap: str, version: Version, name: str, payload: Any, attribute: str, becomes: Any, repair: str
) -> None:
    assert fault(version, name, payload, strict=True) in {Fault.TYPE, Fault.OCCURRENCE, Fault.PROPERTY, Fault.FORMAT}


# T47, T48, T49: what was sent, what it means, the repair.
TIMES = [
    ("2026-03-01T12:00:00", NOON_AT, "time_without_zone"),
    ("2026-03-01 12:00:00", NOON_AT, "time_without_zone"),
    ("2026-3-1T12:00", NOON_AT, "time_without_zone"),
    ("2026-03-01T14:00:00+02", NOON_AT, "odd_time"),
    ("2026-03-01T12:00Z", NOON_AT, "odd_time"),
    ("2026-03-01T12:00:00,5Z", NOON_AT + timedelta(milliseconds=500), "odd_time"),
    ("2026-03-01T12:00:60Z", NOON_AT + timedelta(seconds=59), "leap_second"),
    ("9999-12-31T23:59:59.9999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), "odd_time"),
    ("2025-02-29T00:00:00Z", NO_CLOCK, "impossible_time"),
    ("222222017-01-01T00:00:00Z", NO_CLOCK, "impossible_time"),
    ("2026-03-01T12:00:00+99:00", NO_CLOCK, "impossible_time"),
    ("0000-00-00T00:00:00Z", NO_CLOCK, "impossible_time"),
    ("9" * 5000 + "-01-01T00:00:00Z", NO_CLOCK, "impossible_time"),
    ("", NO_CLOCK, "impossible_time"),
]


@pytest.mark.parametrize(("sent", "means", "repair"), TIMES)
def test_an_odd_time_is_read_for_what_it_means(sent: str, means: datetime, repair: str) -> None:
    message, (note,) = read(V16, "StartTransaction", START | {"timestamp": sent})
    assert message.timestamp == means
    assert note.startswith(f"{repair} timestamp {sent[:120]}")


@pytest.mark.parametrize(
    ("sent", "offset"),
    [("2026-03-01T15:00:00+03:00", 3), ("2026-03-01T15:00:00+0300", 3), ("2026-03-01T12:00:00.000000000Z", 0)],
)
def test_a_lawful_time_needs_no_repair(sent: str, offset: int) -> None:
    message, repairs = read(V16, "StartTransaction", START | {"timestamp": sent}, strict=True)
    assert (message.timestamp, repairs) == (NOON_AT, ())
    assert message.timestamp.utcoffset() == timezone(timedelta(hours=offset)).utcoffset(None)


def test_strictness_reads_the_leap_seconds_of_rfc_3339() -> None:
    message, repairs = read(V16, "StartTransaction", START | {"timestamp": "2026-03-01T12:00:60Z"}, strict=True)
    assert (message.timestamp, repairs) == (NOON_AT + timedelta(seconds=59), ())
    for unlawful in ("2026-03-01T12:00:60", "2026-03-01T12:00:00", "noon"):
        assert fault(V16, "StartTransaction", START | {"timestamp": unlawful}, strict=True) is Fault.TYPE


def test_12_0_is_an_integer_where_the_official_schema_says_so() -> None:
    # Draft 6 (2.x) calls 12.0 an integer, draft 4 (1.6) does not.
    message, repairs = read(V201, "TransactionEvent", EVENT | {"seqNo": 12.0}, strict=True)
    assert (message.seq_no, repairs) == (12, ())
    assert fault(V16, "StartTransaction", START | {"meterStart": 12.0}, strict=True) is Fault.TYPE


@pytest.mark.parametrize("lossy", [12.5, "12.5", "12,0", "0x12", True, "9" * 30, 1e300, "", [], None])
def test_a_number_is_never_guessed(lossy: Any) -> None:
    assert fault(V16, "StartTransaction", START | {"meterStart": lossy}) is Fault.TYPE


def test_an_identifier_is_never_rewritten() -> None:
    assert fault(V16, "Authorize", {"idTag": 12.5}) is Fault.TYPE
    token = {"idToken": {"idToken": "t" * 40, "type": "Tattoo"}}
    message, repairs = read(V201, "Authorize", token)
    assert message.id_token == v201.IdToken(id_token="t" * 40, type="Tattoo")  # type: ignore[arg-type]
    assert not any("tttt" in note for note in repairs)


@pytest.mark.parametrize(
    ("sample", "attribute", "becomes"),
    [
        ({"unit": "Hz"}, "unit", "Hertz"),
        ({"unit": "Celcius"}, "unit", "Celcius"),
        ({"unit": "kwh"}, "unit", "kWh"),
        ({"unit": "MWh"}, "unit", "MWh"),
        ({"measurand": "Joy"}, "measurand", "Joy"),
        ({"context": "Vendor.Thing"}, "context", "Other"),
        ({"phase": "L1-L2-L3"}, "phase", "L1-L2-L3"),
        ({}, "measurand", None),
    ],
)
def test_a_sample_of_16_keeps_its_meaning(sample: dict[str, str], attribute: str, becomes: str | None) -> None:
    message, _ = read(V16, "MeterValues", metered(value="1", **sample))
    assert getattr(message.meter_value[0].sampled_value[0], attribute) == becomes


@pytest.mark.parametrize("value", ["12.5", "", "NaN", "1,5", "x" * 4000])
def test_the_text_of_a_sample_is_the_handlers_to_parse(value: str) -> None:  # T55
    message, repairs = read(V16, "MeterValues", metered(value=value))
    assert (message.meter_value[0].sampled_value[0].value, repairs) == (value, ())


def test_an_unreadable_sample_does_not_cost_its_neighbours() -> None:  # T55
    message, repairs = read(V201, "TransactionEvent", event(1, "2.5", "NaN", None, {}))
    assert [sample.value for sample in message.meter_value[0].sampled_value] == [1, 2.5]
    assert [note.split()[0] for note in repairs].count("unreadable_sample") == 3


def test_a_transaction_ends_though_its_data_is_broken() -> None:
    stop = {"transactionId": 1, "meterStop": 5, "timestamp": NOON, "transactionData": [{"sampledValue": []}, 7]}
    message, _ = read(V16, "StopTransaction", stop)
    assert (message.meter_stop, message.transaction_data) == (5, [])


def test_an_empty_list_is_only_repaired_where_one_item_is_due() -> None:
    # The null makes the patient reader look; the empty list is lawful here.
    stop = {"transactionId": 1, "meterStop": 5, "timestamp": NOON, "transactionData": [], "idTag": "null"}
    message, repairs = read(V16, "StopTransaction", stop)
    assert (message.transaction_data, repairs) == ([], ())


def test_what_was_sent_is_kept_beside_the_repair() -> None:
    _, repairs = read(V16, "StatusNotification", STATUS | {"errorCode": "Error 17", "vendorId": None})
    assert repairs == ("unknown_value errorCode Error 17", "null_for_absent vendorId None")


def test_notes_are_bounded() -> None:
    _, repairs = read(V16, "BootNotification", BOOT | {f"x{number}" * 50: "y" * 999 for number in range(999)})
    assert len(repairs) == 32
    assert all(len(note) < 300 for note in repairs)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("BootNotification", {"chargePointVendor": "v"}, Fault.OCCURRENCE),
        ("BootNotification", BOOT | {"chargePointModel": None}, Fault.TYPE),
        ("BootNotification", BOOT | {"chargePointModel": {}}, Fault.TYPE),
        ("DiagnosticsStatusNotification", {"status": "Lost"}, Fault.PROPERTY),
        ("StartTransaction", START | {"timestamp": 1700000000}, Fault.TYPE),
        ("MeterValues", {"connectorId": 1, "meterValue": {}}, Fault.TYPE),
        ("Heartbeat", [], Fault.FORMAT),
        ("Heartbeat", "text", Fault.FORMAT),
    ],
)
def test_what_cannot_be_understood_is_refused(name: str, payload: Any, expected: Fault) -> None:
    assert fault(V16, name, payload) is expected
    assert fault(V16, name, payload, strict=True) is expected


def test_a_number_out_of_range_is_refused() -> None:
    phases = EVENT | {"numberOfPhasesUsed": 4}
    assert (
        fault(V21, "TransactionEvent", phases) is fault(V21, "TransactionEvent", phases, strict=True) is Fault.PROPERTY
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b"{}{}",
        b'{"x":NaN}',
        b'{"x":Infinity}',
        b'{"x":1e999}',
        b'{"x":%s}' % (b"9" * 5000),
        b"[" * 100_000,
        b'{"customData":' * 100_000,
        b'{"customData":{"vendorId":"v","x":%s%s}}' % (b"[" * 100_000, b"]" * 100_000),
        b'{"customData":{"vendorId":"v","n":null,"x":%s%s}}' % (b"[" * 65, b"]" * 65),
    ],
    ids=lambda raw: raw[:20].decode(errors="replace"),
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_no_sound_json_is_a_matter_of_format(raw: bytes, strict: bool) -> None:
    assert fault(V201, "Heartbeat", raw, strict=strict) is Fault.FORMAT


def test_16_may_write_an_empty_payload_as_null() -> None:
    assert read(V16, "Heartbeat", b"null", strict=True) == (v16.Heartbeat(), ())
    assert fault(V201, "Heartbeat", b"null") is Fault.FORMAT


def test_null_is_free_inside_what_is_open() -> None:
    custom = {"vendorId": "v", "nothing": None}
    message, repairs = read(V201, "Heartbeat", {"customData": custom}, strict=True)
    assert (message.custom_data, repairs) == (custom, ())
    message, repairs = read(V201, "DataTransfer", {"vendorId": "v", "data": {"a": None}}, strict=True)
    assert (message.data, repairs) == ({"a": None}, ())


def test_an_answer_is_repaired_like_a_request() -> None:
    message, repairs = read(V16, "Reset", {"status": "accepted"}, response=True)
    assert (message, len(repairs)) == (v16.ResetResponse(status="Accepted"), 1)
    assert fault(V16, "Reset", {"status": "accepted"}, response=True, strict=True) is Fault.PROPERTY


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (rb"a\u0000b", "a\N{REPLACEMENT CHARACTER}b"),
        (rb"a\\u0000b", r"a\u0000b"),
        (rb"\\\u0000", "\\\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_nul_in_a_text_never_reaches_the_database(sent: bytes, understood: str) -> None:
    action = actions(V16)["DataTransfer"]
    message, _ = decode(action, b'{"vendorId": "v", "data": "%b"}' % sent)
    assert message.data == understood
