"""Liberal in: reads what real stations send, and says what had to be repaired.

Law: nothing that identifies a token, a transaction or a certificate is ever changed into another one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from csms.ocpp import schemas
from csms.ocpp.catalogue import Action, open_object
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.repairs import LAWFUL, METERED, OMISSIONS, REPAIRS, STUCK, WITHOUT_ZONE, Place, Repair, shortened
from csms.ocpp.version import Version

_MAX_DEPTH: Final = 64
# A NUL inside a text ends it for the databases' own functions: it is read as «unreadable character», never stored.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_MAX_NOTES: Final = 32


class Decoded(NamedTuple):
    """A typed message and what had to be repaired to read it, one line a repair.

    A repaired message may hold what its type forbids: an over-long identifier, a measurand or unit of the vendor's.
    """

    message: Any
    repairs: tuple[str, ...]


def decode(action: Action, raw: bytes, *, strict: bool = False, response: bool = False, zone: tzinfo = UTC) -> Decoded:
    """Read a payload; raises `OcppError` for what cannot be understood, or with `strict` for any violation.

    `zone`: where times are told that name no zone (T47).
    """
    # `X | None` lets the types take a null that the schemas forbid: only a payload without one is judged by them alone.
    if b"null" not in raw and b"\\u0000" not in raw:
        try:
            return Decoded(action.decode_response(raw) if response else action.decode_request(raw), ())
        except (ValueError, RecursionError):
            pass
    return _decode_patiently(action, raw, strict, response, zone)


def _decode_patiently(action: Action, raw: bytes, strict: bool, response: bool, zone: tzinfo) -> Decoded:
    message_type = action.response if response else action.request
    if message_type is None:
        raise TypeError(f"{action.name} is never answered")
    payload = _parsed(_NUL.sub(rb"\1\\ufffd", raw), action.version)
    if strict and (violation := schemas.violation(action, payload, response)):
        raise violation
    reader = _Reader(LAWFUL if strict else REPAIRS, not strict, zone)
    message = reader.read(_kind(message_type), payload, Place("", "", ()))
    return Decoded(message, () if strict else tuple(reader.repairs))


def _parsed(raw: bytes, version: Version) -> Any:
    try:
        payload = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise OcppError(Fault.FORMAT, f"The payload cannot be read: {error}") from None
    if _too_deep(payload):
        raise OcppError(Fault.FORMAT, f"The payload is nested deeper than {_MAX_DEPTH} levels")
    # 1.6-J lets an empty payload be written as null.
    return {} if payload is None and version is Version.V16 else payload


def _too_deep(payload: Any) -> bool:
    level = [payload]
    for _ in range(_MAX_DEPTH + 1):
        level = [child for value in level for child in _children(value)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


@cache
def _kind(message_type: type) -> inspect.Type:
    return inspect.type_info(message_type)


class _Reader:
    """Walks a payload beside its type and builds the message; the type's depth bounds the walk's.

    It constructs the structs itself, because construction does not validate: so an over-long tag stays what it is.
    """

    def __init__(self, repairs: tuple[Repair, ...], liberal: bool, zone: tzinfo) -> None:
        self._table = repairs
        self._zone = zone
        self._liberal = liberal
        self.repairs: list[str] = []

    def read(self, kind: inspect.Type, value: Any, place: Place) -> Any:
        match kind:
            case inspect.StructType():
                return self._struct(kind, value, place)
            case inspect.ListType():
                return self._list(kind, value, place)
            case inspect.UnionType():
                return self.read(_without_none(kind), value, place)
            case _:
                return self._leaf(kind, value, place)

    def _struct(self, kind: inspect.StructType, value: Any, place: Place) -> Any:
        if not isinstance(value, dict):
            raise _refusal(Fault.TYPE if place.path else Fault.FORMAT, place, "is not an object")
        fields = _fields(kind.cls)
        built = {}
        for name, item in value.items():
            here = Place(kind.cls.__name__, name, (*place.path, name))
            field = fields.get(name)
            if field is None:
                self._drop("unknown_property", Fault.FORMAT, here, item)
            elif field.required or not self._says_nothing(field.type, item, here):
                built[field.name] = self.read(field.type, item, here)
        for name, field in fields.items():
            if field.required and field.name not in built:
                raise _refusal(Fault.OCCURRENCE, Place("", name, (*place.path, name)), "is required")
        return kind.cls(**built)

    def _says_nothing(self, kind: inspect.Type, value: Any, place: Place) -> bool:
        only = _without_none(kind)
        if value is None and not isinstance(only, inspect.AnyType):
            self._drop("null_for_absent", Fault.TYPE, place, value)
        elif value == [] and isinstance(only, inspect.ListType) and only.min_length:
            self._drop("empty_for_absent", Fault.OCCURRENCE, place, value)
        elif isinstance(only, inspect.CustomType) and not isinstance(value, dict):
            self._drop("unusable_for_absent", Fault.TYPE, place, value)
        else:
            return False
        return True

    def _list(self, kind: inspect.ListType, value: Any, place: Place) -> list[Any]:
        if not isinstance(value, list):
            raise _refusal(Fault.TYPE, place, "is not an array")
        samples = self._liberal and place.name in METERED
        if not (kind.min_length or 0) <= len(value) <= (kind.max_length or len(value)):
            if value or not samples:
                raise _refusal(Fault.OCCURRENCE, place, f"has {len(value)} items")
            self._note("empty_kept", place, value)
        read = self._sample if samples else self._item
        items = (read(kind.item_type, item, place, index) for index, item in enumerate(value))
        return [item for item in items if item is not STUCK]

    def _item(self, kind: inspect.Type, item: Any, place: Place, index: int) -> Any:
        return self.read(kind, item, place._replace(path=(*place.path, index)))

    def _sample(self, kind: inspect.Type, item: Any, place: Place, index: int) -> Any:
        """A sample, or a mark that it is left out: its readable neighbours may be the bill (T55)."""
        try:
            return self._item(kind, item, place, index)
        except OcppError as error:
            self._note("unreadable_sample", place._replace(path=(*place.path, index)), error.description)
            return STUCK

    def _leaf(self, kind: inspect.Type, value: Any, place: Place) -> Any:
        sent = value
        if (read := _plain(kind, value)) is not STUCK:
            return read
        for repair in self._table:
            if not isinstance(kind, repair.of) or (mended := repair.mend(kind, value, place)) is STUCK:
                continue
            self._note(repair.name, place, sent)
            if repair.name == WITHOUT_ZONE and self._zone is not UTC:
                return mended.replace(tzinfo=self._zone).astimezone(UTC)
            if repair.final or _plain(kind, mended) is not STUCK:
                return mended
            value = mended
        raise _refusal(_leaf_fault(kind, value), place, "has a value that is not allowed")

    def _drop(self, name: str, fault: Fault, place: Place, value: Any) -> None:
        if not self._liberal:
            raise _refusal(fault, place, OMISSIONS[name])
        self._note(name, place, value)

    def _note(self, name: str, place: Place, sent: Any) -> None:
        if len(self.repairs) >= _MAX_NOTES:
            return
        # What is kept whole is in the message still, and may be a secret.
        raw = "" if name == "kept_whole" else f" {shortened(sent)}"
        self.repairs.append(f"{name} {place}{raw}")


def _plain(kind: inspect.Type, value: Any) -> Any:
    """What `value` is as a `kind`, without any repair."""
    match kind:
        case inspect.StrType():
            fits = isinstance(value, str) and len(value) <= (kind.max_length or len(value))
        case inspect.IntType():
            fits = type(value) is int and _within(kind, value)
        case inspect.FloatType():
            fits = type(value) in (int, float) and _within(kind, value)
        case inspect.BoolType():
            fits = isinstance(value, bool)
        case inspect.LiteralType():
            fits = isinstance(value, str) and value in kind.values
        case inspect.DateTimeType():
            return _standard_time(value)
        case inspect.CustomType():
            return _open(kind.cls, value)
        case _:
            fits = isinstance(kind, inspect.AnyType)
    return value if fits else STUCK


def _standard_time(value: Any) -> Any:
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return STUCK
    return moment if moment.tzinfo else STUCK


def _open(kind: type, value: Any) -> Any:
    try:
        return open_object(kind, value)
    except ValueError:
        return STUCK


def _within(kind: inspect.IntType | inspect.FloatType, value: float) -> bool:
    return (kind.ge is None or value >= kind.ge) and (kind.le is None or value <= kind.le)


def _leaf_fault(kind: inspect.Type, value: Any) -> Fault:
    """A value of the right type that is not allowed concerns the property, any other its type."""
    match kind:
        case inspect.IntType():
            right = type(value) is int
        case inspect.FloatType():
            right = type(value) in (int, float)
        case inspect.StrType() | inspect.LiteralType():
            right = isinstance(value, str)
        case _:
            right = False  # A text that is no time is not of the type dateTime.
    return Fault.PROPERTY if right else Fault.TYPE


def _without_none(kind: inspect.Type) -> inspect.Type:
    if not isinstance(kind, inspect.UnionType):
        return kind
    return next(member for member in kind.types if not isinstance(member, inspect.NoneType))


@cache
def _fields(struct: type) -> dict[str, inspect.Field]:
    kind = _kind(struct)
    assert isinstance(kind, inspect.StructType)
    return {field.encode_name: field for field in kind.fields}


def _refusal(fault: Fault, place: Place, why: str) -> OcppError:
    return OcppError(fault, f"{place} {why}")
