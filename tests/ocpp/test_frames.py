"""Bytes to frames and back, in the dialect of each version."""

from __future__ import annotations

import json

import pytest

from csms.ocpp import frames
from csms.ocpp.catalogue import Version
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.frames import BadFrame, Call, CallError, CallResult, CallResultError, Send

V16, V201, V21 = Version.V16, Version.V201, Version.V21
ALL = (V16, V201, V21)


def answer_to(data: bytes, version: Version) -> list | None:
    """What a peer of that version answers to bytes that are no frame; None: nothing."""
    with pytest.raises(BadFrame) as caught:
        frames.parse(data, version)
    return None if caught.value.answer is None else json.loads(caught.value.answer)


@pytest.mark.parametrize("version", ALL)
def test_a_call_is_an_id_an_action_and_a_payload_left_raw(version):
    frame = frames.parse(b'[2, "19", "Heartbeat", {"a": [1, 2]}]', version)

    assert type(frame) is Call
    assert (frame.id, frame.action, bytes(frame.payload)) == ("19", "Heartbeat", b'{"a": [1, 2]}')


@pytest.mark.parametrize("version", ALL)
def test_a_result_is_an_id_and_a_payload(version):
    frame = frames.parse(b'[3,"19",{}]', version)

    assert type(frame) is CallResult
    assert (frame.id, bytes(frame.payload)) == ("19", b"{}")


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b'[4,"19","NotImplemented","no such thing",{"why":1}]', "no such thing"),
        (b'[4,"19","NotImplemented","",{}]', ""),
        (b'[4,"19","NotImplemented",null,null]', None),  # T64
        (b'[4,"19","NotImplemented","text","details as text"]', "text"),
        (b'[4,"19","NotImplemented","no details"]', "no details"),
        (b'[4,"19","NotImplemented"]', ""),
    ],
)
@pytest.mark.parametrize("version", ALL)
def test_an_error_is_read_however_sloppy_its_tail(data, description, version):
    frame = frames.parse(data, version)

    assert type(frame) is CallError
    assert (frame.id, frame.code, frame.description) == ("19", "NotImplemented", description)


def test_the_two_frames_of_21_are_read_in_21():
    assert type(frames.parse(b'[5,"19","FormatViolation","",{}]', V21)) is CallResultError
    assert type(frames.parse(b'[6,"19","NotifyPeriodicEventStream",{}]', V21)) is Send


@pytest.mark.parametrize("data", [b'[5,"19","FormatViolation","",{}]', b'[6,"19","Anything",{}]'])
def test_they_are_unknown_message_types_before_21(data):
    assert answer_to(data, V16) is None
    assert answer_to(data, V201)[:3] == [4, "19", "MessageTypeNotSupported"]


NO_JSON = [b"", b"[", b"hello", b'[2,"19","Heartbeat",{}', b"\xff\xfe", b"{}", b'"text"', b"[,{"]


@pytest.mark.parametrize("data", NO_JSON)
@pytest.mark.parametrize(
    ("version", "code"),
    [(V16, "FormationViolation"), (V201, "RpcFrameworkError"), (V21, "RpcFrameworkError")],
)
def test_what_is_no_json_array_is_answered_under_the_id_minus_one(data, version, code):
    answered = answer_to(data, version)

    assert answered[:3] == [4, "-1", code]  # Rows 10 and 16.
    assert len(answered) == 5
    assert answered[4] == {}


@pytest.mark.parametrize(
    ("data", "answered_16", "answered_2x"),
    [
        # An id that cannot be read.
        (b'[2,19,"Heartbeat",{}]', ("-1", "FormationViolation"), ("-1", "RpcFrameworkError")),
        (b'[2,null,"Heartbeat",{}]', ("-1", "FormationViolation"), ("-1", "RpcFrameworkError")),
        (b"[2]", ("-1", "FormationViolation"), ("-1", "RpcFrameworkError")),
        # An id that can.
        (b'[2,"19"]', ("19", "FormationViolation"), ("19", "FormatViolation")),
        (b'[2,"19",7,{}]', ("19", "FormationViolation"), ("19", "FormatViolation")),
        (b'[2,"19","Heartbeat"]', ("19", "FormationViolation"), ("19", "FormatViolation")),
        (b'[2,"19","Heartbeat",{},{}]', ("19", "FormationViolation"), ("19", "FormatViolation")),
        (b'["2","19","Heartbeat",{}]', ("19", "FormationViolation"), ("19", "RpcFrameworkError")),
        (b'[true,"19","Heartbeat",{}]', ("19", "FormationViolation"), ("19", "RpcFrameworkError")),
        (b"[]", ("-1", "FormationViolation"), ("-1", "RpcFrameworkError")),
    ],
)
def test_a_call_gone_wrong_is_answered_under_its_id_where_it_has_one(data, answered_16, answered_2x):
    assert tuple(answer_to(data, V16)[1:3]) == answered_16
    assert tuple(answer_to(data, V201)[1:3]) == answered_2x
    assert tuple(answer_to(data, V21)[1:3]) == answered_2x


@pytest.mark.parametrize("message_type", [0, 1, 7, 99, -2])
def test_an_unknown_message_type_is_ignored_in_16_and_answered_after(message_type):
    data = b'[%d,"19",{}]' % message_type

    assert answer_to(data, V16) is None  # Row 13.
    assert answer_to(data, V201)[:3] == [4, "19", "MessageTypeNotSupported"]
    assert answer_to(data, V21)[:3] == [4, "19", "MessageTypeNotSupported"]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("data", [b'[3,"19"]', b"[3,19,{}]", b'[3,"19",{},{}]', b'[4,"19"]', b"[4]", b"[3]"])
def test_an_answer_gone_wrong_is_never_answered_with_a_call_error(data, version):
    answer = answer_to(data, version)  # Row 11, T65.
    assert answer is None or (version is V21 and answer[0] == 5)


@pytest.mark.parametrize("data", [b'[3,"19"]', b'[3,"19",{},{}]'])
def test_21_tells_of_a_result_gone_wrong(data):
    assert answer_to(data, V21)[:3] == [5, "19", "RpcFrameworkError"]  # Row 11.


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("kind", [b'3,"%s",{}', b'4,"%s","GenericError","",{}', b'6,"%s","Heartbeat",{}'])
def test_a_monstrous_id_is_told_to_callers_only(kind, version):
    data = b"[" + kind % (b"i" * 256) + b"]"
    answer = answer_to(data, version)
    assert answer is None or (kind.startswith(b"6") and version is V201), "which knows no type 6"


@pytest.mark.parametrize("data", [b'[5,"19"]', b'[6,"19"]', b'[6,"19",7,{}]'])
def test_a_send_gone_wrong_is_never_answered(data):
    assert answer_to(data, V21) is None  # Row 12.


@pytest.mark.parametrize("version", ALL)
def test_an_id_somewhat_too_long_is_read_and_a_monstrous_one_refused(version):
    assert frames.parse(b'[2,"%s","Heartbeat",{}]' % (b"i" * 255), version).id == "i" * 255
    assert answer_to(b'[2,"%s","Heartbeat",{}]' % (b"i" * 256), version)[1] == "-1"


@pytest.mark.parametrize("version", ALL)
def test_nesting_deeper_than_anyone_can_read_is_refused_before_it_recurses(version):
    deep = b'[2,"19","DataTransfer",' + b"[" * 100_000 + b"]" * 100_000 + b"]"

    assert answer_to(deep, version)[0] == 4


@pytest.mark.parametrize("version", ALL)
def test_ids_and_actions_of_any_script_survive_the_way_out_and_back(version):
    for message_id in ('quo"te', "back\\slash", "ümlaut 充电", "tab\t", "\U0001f50c"):
        frame = frames.parse(frames.call(message_id, "DataTransfer", b'{"vendorId":"v"}'), version)
        assert (frame.id, frame.action, bytes(frame.payload)) == (
            message_id,
            "DataTransfer",
            b'{"vendorId":"v"}',
        )

        assert frames.parse(frames.call_result(message_id, b"{}"), version).id == message_id


@pytest.mark.parametrize(
    ("fault", "in_16", "in_2x"),
    [
        (Fault.FORMAT, "FormationViolation", "FormatViolation"),
        (Fault.OCCURRENCE, "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
        (Fault.TYPE, "TypeConstraintViolation", "TypeConstraintViolation"),
        (Fault.PROPERTY, "PropertyConstraintViolation", "PropertyConstraintViolation"),
        (Fault.NOT_IMPLEMENTED, "NotImplemented", "NotImplemented"),
        (Fault.NOT_SUPPORTED, "NotSupported", "NotSupported"),
        (Fault.INTERNAL, "InternalError", "InternalError"),
        (Fault.PROTOCOL, "ProtocolError", "ProtocolError"),
        (Fault.SECURITY, "SecurityError", "SecurityError"),
        (Fault.GENERIC, "GenericError", "GenericError"),
        (Fault.MESSAGE_TYPE, "GenericError", "MessageTypeNotSupported"),
        (Fault.RPC_FRAMEWORK, "FormationViolation", "RpcFrameworkError"),
    ],
)
def test_an_error_is_written_in_the_spelling_of_the_version(fault, in_16, in_2x):
    assert json.loads(frames.call_error("19", OcppError(fault), V16))[2] == in_16  # Row 14.
    assert json.loads(frames.call_error("19", OcppError(fault), V201))[2] == in_2x  # Row 15.
    assert json.loads(frames.call_error("19", OcppError(fault), V21))[2] == in_2x


def test_an_error_always_has_five_elements_an_object_and_a_bounded_text():
    written = json.loads(frames.call_error("19", OcppError(Fault.GENERIC, "x" * 300), V201))

    assert written == [4, "19", "GenericError", "x" * 255, {}]  # Row 9.
    with_details = OcppError(Fault.GENERIC, "", {"field": "idTag"})
    assert json.loads(frames.call_error("19", with_details, V201))[4] == {"field": "idTag"}


def test_a_result_that_cannot_be_understood_is_reported_in_21():
    written = frames.call_result_error("19", OcppError(Fault.OCCURRENCE, "status is missing"))

    assert json.loads(written) == [5, "19", "OccurrenceConstraintViolation", "status is missing", {}]
