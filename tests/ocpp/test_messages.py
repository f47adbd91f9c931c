"""Our types and the official schemas say the same about every message of every version."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from csms.ocpp import schemas
from csms.ocpp.catalogue import Action, Version, actions
from csms.ocpp.errors import OcppError
from csms.ocpp.tolerance import decode
from tests.schema_strategy import Mutated, mutated

pytestmark = pytest.mark.fuzz

ACTIONS = [action for version in Version for action in actions(version).values()]

# Where the types and the schemas differ, and why.
EXCEPTIONS = {
    "multipleOf": "no binary float is a multiple of 0.1, so the types do not ask; what we send is judged by the schema",
    "format": "the schemas are compiled without formats, so a time that is none passes them and fails our types",
    "64 bits": "our types refuse whole numbers beyond 64 bits, which no schema bounds; cases do not hold such numbers",
    "null": "1.6-J lets an empty payload be written as null, the schemas want an object",
}

# A few cases a message on every run, always the same ones; many and new ones when asked for.
EXAMPLES = os.environ.get("CSMS_FUZZ_EXAMPLES")


def fuzzing(test: Callable[..., None]) -> Callable[..., None]:
    few_or_many = settings(
        max_examples=int(EXAMPLES or 2), deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    return few_or_many(test if EXAMPLES else seed(0)(test))


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.version}-{action.name}")
def test_types_and_schema_agree_on(action: Action) -> None:
    names = [f"{action.name}Request", *([f"{action.name}Response"] if action.response else [])]

    # Request and response in one go: half the runs for as many cases.
    @fuzzing
    @given(st.tuples(*(mutated(action.version, name) for name in names)))
    def agree(cases: tuple[Mutated, ...]) -> None:
        for case, response in zip(cases, (False, True), strict=False):
            a_valid_payload_survives_the_round_trip(action, response, case.valid)
            a_broken_payload_is_refused_by_both(action, response, case)
            tolerance_gives_a_message_or_an_ocpp_error(action, response, case)

    agree()


def test_every_schema_has_its_action() -> None:
    named = {(action.version, f"{action.name}{kind}") for action in ACTIONS for kind in ("Request", "Response")}
    official = {(version, name) for version in Version for name in schemas.type_names(version)}
    # The one message that is never answered.
    assert named - official == {(Version.V21, "NotifyPeriodicEventStreamResponse")}
    assert official <= named


def a_valid_payload_survives_the_round_trip(action: Action, response: bool, payload: dict[str, Any]) -> None:
    assert schemas.violation(action, payload, response) is None
    if b"\\u0000" in msgspec.json.encode(payload):
        return  # Read as an unreadable character, as test_tolerance says.
    decoded = decode(action, msgspec.json.encode(payload), response=response)
    assert decoded.repairs == ()
    again = msgspec.json.decode(msgspec.json.encode(decoded.message))
    assert again == payload
    assert schemas.violation(action, again, response) is None


def a_broken_payload_is_refused_by_both(action: Action, response: bool, case: Mutated) -> None:
    raw = msgspec.json.encode(case.payload)
    judged = verdict(action, case.payload, response)
    read = attempt(action, raw, response, strict=True)
    if judged is None and case.payload is None:
        assert read is None
    elif case.keyword == "multipleOf":
        assert judged and read is None
    elif case.keyword == "format":
        assert judged is None and read
    else:
        assert judged and read and read.fault is judged.fault


def tolerance_gives_a_message_or_an_ocpp_error(action: Action, response: bool, case: Mutated) -> None:
    refused = attempt(action, msgspec.json.encode(case.payload), response, strict=False)
    judged = verdict(action, case.payload, response)
    assert refused is None or (judged and refused.fault is judged.fault)


def verdict(action: Action, payload: Any, response: bool) -> OcppError | None:
    empty = payload is None and action.version is Version.V16
    return schemas.violation(action, {} if empty else payload, response)


def attempt(action: Action, raw: bytes, response: bool, strict: bool) -> OcppError | None:
    try:
        decode(action, raw, strict=strict, response=response)
    except OcppError as error:
        return error
    return None


@pytest.mark.parametrize("version", Version)
@fuzzing
@given(
    st.data(),
    st.recursive(
        st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
)
def test_any_json_gives_a_message_or_an_ocpp_error(version: Version, data: st.DataObject, payload: Any) -> None:
    action = data.draw(st.sampled_from(list(actions(version).values())))
    attempt(action, msgspec.json.encode(payload), response=False, strict=False)


@pytest.mark.parametrize("version", Version)
@fuzzing
@given(st.data(), st.binary())
def test_any_bytes_give_a_message_or_an_ocpp_error(version: Version, data: st.DataObject, raw: bytes) -> None:
    action = data.draw(st.sampled_from(list(actions(version).values())))
    attempt(action, raw, response=False, strict=False)
