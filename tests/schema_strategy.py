"""Payloads drawn from the official schemas: valid ones, and ones with exactly one violation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from hypothesis import strategies as st

from csms.ocpp import schemas
from csms.ocpp.version import Version

Schema = dict[str, Any]

_EPOCH = datetime(1970, 1, 1)
_EXTRA = st.dictionaries(st.sampled_from("abc"), st.integers() | st.none(), max_size=1)
_ANYTHING = st.one_of(st.booleans(), st.integers(-9, 9), st.sampled_from(["", "text"]), st.lists(st.none(), max_size=2))


class Mutated(NamedTuple):
    """A valid payload, and the same after one keyword of its schema was broken at one place."""

    valid: dict[str, Any]
    payload: Any
    keyword: str


@st.composite
def valid(draw: st.DrawFn, version: Version, name: str) -> dict[str, Any]:
    """Valid payloads of the message type `name`, as `BootNotificationRequest`."""
    root = schemas.official(version, name)
    payload: dict[str, Any] = _drawn(draw, _Node(root, root))
    return payload


@st.composite
def mutated(draw: st.DrawFn, version: Version, name: str) -> Mutated:
    """Payloads of the message type `name` with one random violation."""
    root = schemas.official(version, name)
    sound = draw(valid(version, name))
    holder = {"payload": copy.deepcopy(sound)}
    keyword, breaking = draw(st.sampled_from(list(_breakings(_Node(root, root), holder, "payload"))))
    breaking()
    return Mutated(sound, holder["payload"], keyword)


class _Node:
    """A schema with the document it stands in, references followed."""

    def __init__(self, schema: Schema, root: Schema) -> None:
        while "$ref" in schema:
            schema = root["definitions"][schema["$ref"].rpartition("/")[2]]
        self.schema, self.root = schema, root

    def child(self, schema: Schema) -> _Node:
        return _Node(schema, self.root)

    def properties(self) -> dict[str, _Node]:
        return {name: self.child(schema) for name, schema in self.schema.get("properties", {}).items()}


def _drawn(draw: st.DrawFn, node: _Node) -> Any:
    match node.schema:
        case {"enum": values}:
            return draw(st.sampled_from(values))
        case {"type": "object"}:
            return _drawn_object(draw, node)
        case {"type": "array"}:
            least = node.schema.get("minItems", 0)
            most = min(least + 1, node.schema.get("maxItems", least + 1))
            items = node.child(node.schema["items"])
            return [_drawn(draw, items) for _ in range(draw(st.integers(least, most)))]
        case {"type": kind}:
            return draw(_LEAVES[kind](**_limits(node)))
        case _:
            return draw(_ANYTHING)


def _drawn_object(draw: st.DrawFn, node: _Node) -> dict[str, Any]:
    properties, required = node.properties(), node.schema.get("required", ())
    optional = [name for name in properties if name not in required]
    # One number says which optional properties are there: far cheaper than a draw for each.
    present = draw(st.integers(0, 2 ** len(optional) - 1))
    names = [*required, *(name for bit, name in enumerate(optional) if present >> bit & 1)]
    extra = {} if node.schema.get("additionalProperties") is False else draw(_EXTRA)
    return extra | {name: _drawn(draw, properties[name]) for name in names}


def _limits(node: _Node) -> dict[str, Any]:
    return {keyword: node.schema[keyword] for keyword in _LIMITS if keyword in node.schema}


@cache
def _string(minLength: int = 0, maxLength: int = 30, format: str = "") -> st.SearchStrategy[str]:
    if format == "date-time":
        return st.integers(0, 2**52).map(lambda us: f"{(_EPOCH + timedelta(microseconds=us)).isoformat()}Z")
    # Chosen texts cost one draw, random ones a draw for each character.
    texts = dict.fromkeys(text[:maxLength] for text in ("", "a", "null", '"\\\n\0', "é漢😀", "x" * maxLength))
    return st.sampled_from([text for text in texts if len(text) >= minLength])


@cache
def _integer(minimum: float = -(2**31), maximum: float = 2**31 - 1) -> st.SearchStrategy[int]:
    return st.integers(int(minimum), int(maximum))


@cache
def _number(minimum: float = -1e9, maximum: float = 1e9, multipleOf: float = 0) -> st.SearchStrategy[float]:
    if multipleOf:
        return st.integers(0, 10_000).map(lambda steps: round(steps * multipleOf, 6))
    return st.floats(minimum, maximum, allow_nan=False) | st.integers(int(minimum), int(maximum))


_LIMITS = ("minLength", "maxLength", "format", "minimum", "maximum", "multipleOf")
_LEAVES: dict[str, Callable[..., st.SearchStrategy[Any]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda: st.booleans(),
}


def _breakings(node: _Node, holder: Any, key: str | int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every way to break the value `holder[key]` or one inside it: the keyword, and what breaks it."""

    def put(value: Any) -> Callable[[], None]:
        return lambda: holder.__setitem__(key, value)

    value, schema = holder[key], node.schema
    if "type" in schema:
        yield "type", put(12.5 if schema["type"] == "boolean" else True)
        yield "type", put(None)
    for keyword, broken in _BROKEN.items():
        if keyword in schema and schema[keyword] != "uri":  # Which text is no URI is not ours to judge.
            yield keyword, put(broken(value, schema[keyword]))
    yield from _broken_members(node, value)


def _broken_members(node: _Node, value: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    if isinstance(value, list) and "items" in node.schema:
        for index in range(len(value)):
            yield from _breakings(node.child(node.schema["items"]), value, index)
    if not isinstance(value, dict) or "properties" not in node.schema:
        return
    if node.schema.get("additionalProperties") is False:
        yield "additionalProperties", lambda: value.__setitem__("unexpected", 1)
    for name in node.schema.get("required", ()):
        yield "required", lambda name=name: value.pop(name)
    for name, child in node.properties().items():
        if name in value:
            yield from _breakings(child, value, name)


_BROKEN: dict[str, Callable[[Any, Any], Any]] = {
    "enum": lambda value, values: "no such value",
    "maxLength": lambda value, most: "x" * (most + 1),
    "minLength": lambda value, least: "x" * (least - 1),
    "minItems": lambda value, least: value[: least - 1],
    "maxItems": lambda value, most: (value or [None]) * (most + 1),
    "minimum": lambda value, least: least - 1,
    "maximum": lambda value, most: most + 1,
    "multipleOf": lambda value, step: value + step / 2,
    "format": lambda value, name: "no such moment",
}
