"""OCPP-J frames: bytes to Call, CallResult, CallError (2.1: CallResultError, Send), and back.

A payload stays raw (`msgspec.Raw`, a view on the received bytes) until the action's types are known.
"""

from __future__ import annotations

from typing import Any

import msgspec

from csms.ocpp.catalogue import Version
from csms.ocpp.errors import Fault, OcppError, spelled

UNREADABLE_ID = "-1"  # What an error answers when the message id cannot be read (2.x Part 4, 4.2.3).
MAX_ID = 36
_MAX_TOLERATED_ID = 255
_MAX_ERROR_TEXT = 255

_encode = msgspec.json.encode


class Call(msgspec.Struct, array_like=True, tag=2, forbid_unknown_fields=True, gc=False, frozen=True):
    """`[2, id, action, payload]`: a request that waits for an answer."""

    id: str
    action: str
    payload: msgspec.Raw


class CallResult(msgspec.Struct, array_like=True, tag=3, forbid_unknown_fields=True, gc=False, frozen=True):
    """`[3, id, payload]`: the answer to a Call."""

    id: str
    payload: msgspec.Raw


class CallError(msgspec.Struct, array_like=True, tag=4, forbid_unknown_fields=True, gc=False, frozen=True):
    """`[4, id, code, description, details]`: the refusal of a Call. Details of any type are read (T64)."""

    id: str
    code: str
    description: str | None = ""
    details: msgspec.Raw = msgspec.Raw(b"{}")


class CallResultError(msgspec.Struct, array_like=True, tag=5, forbid_unknown_fields=True, gc=False, frozen=True):
    """`[5, id, code, description, details]`: 2.1 only, our CallResult could not be understood."""

    id: str
    code: str
    description: str | None = ""
    details: msgspec.Raw = msgspec.Raw(b"{}")


class Send(msgspec.Struct, array_like=True, tag=6, forbid_unknown_fields=True, gc=False, frozen=True):
    """`[6, id, action, payload]`: 2.1 only, never answered."""

    id: str
    action: str
    payload: msgspec.Raw


Frame = Call | CallResult | CallError | CallResultError | Send

_frame = msgspec.json.Decoder(Call | CallResult | CallError | CallResultError | Send).decode
_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_FRAMES_OF_21 = (CallResultError, Send)
_NEVER_ANSWERED = (3, 4, 5, 6)  # An error answers a Call only (OCPP-J 1.6 4.2.3; T65).


class BadFrame(OcppError):
    """Bytes that are no OCPP-J frame. `answer` is what to send back, or None where nothing may be sent."""

    def __init__(self, fault: Fault, description: str, answer: bytes | None):
        super().__init__(fault, description)
        self.answer = answer


def parse(data: bytes, version: Version) -> Frame:
    """Read one frame; raise BadFrame for anything else, with the answer that `version` asks for."""
    try:
        frame = _frame(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _bad_frame(data, version) from None
    if type(frame) in _FRAMES_OF_21 and version is not Version.V21:
        raise _unknown_type(frame.id, version)
    if len(frame.id) > _MAX_TOLERATED_ID:
        too_long = _refusal(UNREADABLE_ID, Fault.FORMAT, f"The message id is longer than {MAX_ID} characters.", version)
        raise too_long if type(frame) is Call else BadFrame(too_long.fault, too_long.description, None)
    return frame


def call(message_id: str, action: str, payload: bytes) -> bytes:
    return b"[2,%b,%b,%b]" % (_encode(message_id), _encode(action), payload)


def call_result(message_id: str, payload: bytes) -> bytes:
    return b"[3,%b,%b]" % (_encode(message_id), payload)


def call_error(message_id: str, error: OcppError, version: Version) -> bytes:
    """Always five elements, details always an object, text of at most 255 characters (rule 9)."""
    code = spelled(error.fault, version)
    return _encode([4, message_id, code, error.description[:_MAX_ERROR_TEXT], error.details or {}])


def call_result_error(message_id: str, error: OcppError) -> bytes:
    code = spelled(error.fault, Version.V21)
    return _encode([5, message_id, code, error.description[:_MAX_ERROR_TEXT], error.details or {}])


def _bad_frame(data: bytes, version: Version) -> BadFrame:
    """Find out, off the fast path, what is wrong and whether the sender may be told."""
    try:
        parts = _parts(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _refusal(UNREADABLE_ID, Fault.RPC_FRAMEWORK, "The message is not a JSON array.", version)
    message_type = _read(parts, 0)
    message_id = _read(parts, 1)
    if not isinstance(message_id, str) or not 0 < len(message_id) <= _MAX_TOLERATED_ID:
        message_id = UNREADABLE_ID
    if type(message_type) is not int:
        return _refusal(message_id, Fault.RPC_FRAMEWORK, "The message type must be a number.", version)
    if message_type in _NEVER_ANSWERED and (message_type < 5 or version is Version.V21):
        return _bad_answer(message_type, message_id, version)
    if message_type != 2:
        return _unknown_type(message_id, version)
    if message_id == UNREADABLE_ID:
        return _refusal(UNREADABLE_ID, Fault.RPC_FRAMEWORK, "The message id must be a text.", version)
    if not isinstance(_read(parts, 2), str):
        return _refusal(message_id, Fault.FORMAT, "The action must be a text.", version)
    return _refusal(message_id, Fault.FORMAT, "A call is [2, id, action, payload].", version)


def _bad_answer(message_type: int, message_id: str, version: Version) -> BadFrame:
    """Nothing answers an answer, but that 2.1 tells of a result that cannot be understood (2.1 Part 4, 4.2.4)."""
    error = OcppError(Fault.RPC_FRAMEWORK, f"Malformed message of type {message_type}.")
    told = message_type == 3 and version is Version.V21 and message_id != UNREADABLE_ID
    return BadFrame(error.fault, error.description, call_result_error(message_id, error) if told else None)


def _read(parts: list[msgspec.Raw], index: int) -> Any:
    try:
        return msgspec.json.decode(parts[index])
    except (IndexError, ValueError, RecursionError):
        return None


def _unknown_type(message_id: str, version: Version) -> BadFrame:
    description = "Unknown message type."
    if version is Version.V16:  # OCPP-J 1.6 4.1.3: ignore messages of unknown type.
        return BadFrame(Fault.MESSAGE_TYPE, description, None)
    return _refusal(message_id, Fault.MESSAGE_TYPE, description, version)


def _refusal(message_id: str, fault: Fault, description: str, version: Version) -> BadFrame:
    return BadFrame(fault, description, call_error(message_id, OcppError(fault, description), version))
