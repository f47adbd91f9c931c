"""Signed messages: unwrapped, whoever signed them."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.frames import Call
from csms.ocpp.signed import unwrapped


def base64url(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jws(payload: Any, **header: Any) -> dict[str, Any]:
    return {"payload": base64url(payload), "protected": base64url({"alg": "ES256", **header}), "signature": "c2ln"}


def signed(payload: Any, action: str = "Heartbeat-Signed") -> Call:
    return Call("19", action, msgspec.Raw(json.dumps(payload).encode()))


def test_the_call_within_comes_out_under_its_own_name():
    call = unwrapped(signed(jws({"note": "ä?>"})))
    assert (call.id, call.action, json.loads(bytes(call.payload))) == ("19", "Heartbeat", {"note": "ä?>"})


@pytest.mark.parametrize(
    "header", [{"OCPPAction": "Heartbeat", "OCPPMessageId": "19"}, {"OCPPAction": "Heartbeat-Signed"}]
)
def test_a_header_of_this_message_is_fine(header):
    assert unwrapped(signed(jws({}, **header))).action == "Heartbeat"


@pytest.mark.parametrize("header", [{"OCPPAction": "Reset"}, {"OCPPMessageId": "18"}])
def test_a_header_of_another_message_is_not(header):
    with pytest.raises(OcppError) as refused:
        unwrapped(signed(jws({}, **header)))
    assert refused.value.fault is Fault.SECURITY


@pytest.mark.parametrize(
    "payload",
    [
        {}, [], None, "text", {"payload": "e30"}, jws({}) | {"payload": "!"}, jws({}) | {"payload": "é"},
        jws({}) | {"protected": base64url(b"no json")}, jws({}) | {"signature": 7}, jws({}) | {"payload": "e"},
    ],
)  # fmt: skip
def test_what_is_no_flattened_jws_is_refused(payload):
    with pytest.raises(OcppError) as refused:
        unwrapped(signed(payload))
    assert refused.value.fault is Fault.FORMAT


@given(st.binary(max_size=200))
def test_every_payload_survives_its_wrapping(payload):
    assert bytes(unwrapped(signed(jws(payload))).payload) == payload
