"""The description of events: judged by the official schema, and everything published judged by it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.bus.asyncapi import document
from csms.bus.packing import packed
from csms.bus.state import ConnectorState, SessionState, StationState
from csms.domain.events import TYPES, AnyEvent
from csms.storage.outbox import Entry
from tests.conftest import NOW

OFFICIAL = Path(__file__).parents[1] / "data" / "asyncapi-3.0.0.json.gz"  # Of the npm package @asyncapi/specs 6.11.1.


def judge_of(described: dict[str, Any], message: str) -> Any:
    """What a message's payload has to be, as the document says."""
    payload = described["components"]["messages"][message]["payload"]
    return jsonschema_rs.validator_for({**payload, "components": described["components"]}, validate_formats=True)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return json.loads(json.dumps(document("1.2.3")))


def test_document_is_what_the_official_schema_asks_for(described: dict[str, Any]) -> None:
    official = jsonschema_rs.validator_for(json.loads(gzip.decompress(OFFICIAL.read_bytes())))
    assert [str(error) for error in official.iter_errors(described)] == []
    described = json.loads(json.dumps(described))
    described["channels"]["events"]["messages"]["EventBatch"] = 1
    assert not official.is_valid(described), "the judge judges"


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [each for inner in value.values() for each in references(inner)]
        return [each for inner in value for each in references(inner)] if isinstance(value, list) else []

    for reference in references(described):
        found: Any = described
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_type_of_event_has_a_message_of_its_own(described: dict[str, Any]) -> None:
    named = {each.get("name") for each in described["components"]["messages"].values()}
    assert set(TYPES) <= named
    assert len(described["components"]["schemas"]["Event"]["oneOf"]) == len(TYPES)


def test_every_field_tells_its_type_and_times_their_format(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for event in get_args(AnyEvent):
        for name, field in schemas[event.__name__]["properties"].items():
            assert field, f"{event.__name__}.{name}"
            if name.endswith("_at") or name == "at":
                assert field["format"] == "date-time"


def instances(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    given = {field.name: _values(field.type) for field in msgspec.structs.fields(struct)}
    return st.fixed_dictionaries(given).map(lambda fields: struct(**fields))


def _values(type_: Any) -> st.SearchStrategy[Any]:
    if type_ is datetime:
        return st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
    if type_ is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if getattr(type_, "__origin__", None) is tuple:
        return st.lists(_values(get_args(type_)[0]), max_size=3).map(tuple)
    inner = [each for each in get_args(type_) if each is not type(None)]
    if inner:
        return st.none() | st.one_of(*map(_values, inner))
    return st.from_type(type_)


@given(st.lists(st.one_of(*map(instances, get_args(AnyEvent))), min_size=1, max_size=5))
def test_whatever_is_published_is_as_described(events: list[Any]) -> None:
    raw = [msgspec.Raw(msgspec.json.encode(event)) for event in events]
    for message in packed([Entry(7, 0, "default", "CS-1", raw)], 3, 1000):
        JUDGE.validate(json.loads(message.payload))
        WEBHOOK.validate(json.loads(message.payload))


JUDGE = judge_of(document("1"), "EventBatch")
WEBHOOK = judge_of(document("1"), "WebhookBatch")


def test_description_refuses_what_is_not_published() -> None:
    event = {
        "event_id": "1-0",
        "operator": "o",
        "station": "s",
        "type": "station.disconnected",
        "at": "2026-05-04T12:00:00Z",
    }
    good = {**event, "reason": "power"}
    assert JUDGE.is_valid({"events": [good]})
    for wrong in (event, {**good, "event_id": "x"}, {**good, "at": "noon"}, {**good, "type": "station.gone"}):
        assert not JUDGE.is_valid({"events": [wrong]})
    assert not JUDGE.is_valid({"events": []})


def test_states_are_as_described(described: dict[str, Any]) -> None:
    judge = judge_of(described, "StationState")
    bare = StationState(station="CS-1", operator="default", online=False, at=NOW, connectors=(), sessions=())
    full = msgspec.structs.replace(
        bare,
        connectors=(ConnectorState(1, 1, "available", NOW), ConnectorState(1, 2, "faulted", NOW, "x", "y")),
        sessions=(SessionState(1, "5", "charging", NOW, 1.0), SessionState(2, "6", "charging", NOW, 1.0, 1, 1, 2.0, 3.0)),
        connected_at=NOW, version="1.6", registration="accepted",
    )  # fmt: skip
    for state in (bare, full):
        judge.validate(json.loads(msgspec.json.encode(state)))
    assert not judge.is_valid({"station": "CS-1"})
