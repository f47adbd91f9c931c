"""Liberal in: reads what real stations send, and says what had to be repaired.

Law: nothing that identifies a token, a transaction or a certificate is ever changed into another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from csms.ocpp import schemas
from csms.ocpp.catalogue import Action, open_object
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.version import Version

NO_CLOCK: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that cannot be: the station has no clock, its receiver does."""

_FIRST_OCPP_YEAR: Final = datetime(2010, 1, 1, tzinfo=UTC)
_MAX_DEPTH: Final = 64
_MAX_NOTE: Final = 120
_MAX_NOTES: Final = 32


class Decoded(NamedTuple):
    """A typed message and what had to be repaired to read it, one line a repair.

    A repaired message may hold what its type forbids: an over-long identifier, a measurand or unit of the vendor's.
    """

    message: Any
    repairs: tuple[str, ...]


def has_clock(moment: datetime) -> bool:
    """Whether a station's time can be believed; if not, use the time of receipt (T49)."""
    return moment >= _FIRST_OCPP_YEAR


def decode(action: Action, raw: bytes, *, strict: bool = False, response: bool = False) -> Decoded:
    """Read a payload; raises `OcppError` for what cannot be understood, or with `strict` for any violation."""
    # `X | None` lets the types take a null that the schemas forbid: only a payload without one is judged by them alone.
    if b"null" not in raw:
        try:
            return Decoded(action.decode_response(raw) if response else action.decode_request(raw), ())
        except (ValueError, RecursionError):
            pass
    return _decode_patiently(action, raw, strict, response)


def _decode_patiently(action: Action, raw: bytes, strict: bool, response: bool) -> Decoded:
    message_type = action.response if response else action.request
    if message_type is None:
        raise TypeError(f"{action.name} is never answered")
    payload = _parsed(raw, action.version)
    if strict and (violation := schemas.violation(action, payload, response)):
        raise violation
    reader = _Reader(_LAWFUL if strict else _REPAIRS, liberal=not strict)
    message = reader.read(_kind(message_type), payload, _Place("", "", ()))
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


# --- the repairs ------------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Where a value stands: the struct and property it belongs to, and the whole path for people."""

    owner: str
    name: str
    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return _shortened(schemas.dotted(self.path))


class _Stuck:
    """What a repair answers when it has nothing to offer."""


_STUCK: Final = _Stuck()


class Repair(NamedTuple):
    """One thing real stations get wrong. A `final` result is taken though the type would not allow it."""

    name: str
    what: str
    of: type[inspect.Type]
    mend: Callable[[Any, Any, _Place], Any]
    lawful: bool = False
    final: bool = False


# Text that means nothing in part: shortened, a tag would be another tag. Kept whole, for the handler to answer (T31).
_IDENTIFIERS = frozenset(
    {
        "idTag",
        "parentIdTag",
        "idToken",
        "additionalIdToken",
        "transactionId",
        "issuerKeyHash",
        "issuerNameHash",
        "CertificateHashData.serialNumber",
        "OCSPRequestData.serialNumber",
        "DataTransfer.vendorId",
        "DataTransfer.messageId",
    }
)
# From here on a text is content: certificates, signatures, settings.
_CONTENT_LENGTH = 500

# Known other spellings, in lower case, read as the official one where that is allowed: T62, and other versions' words.
_SPELLINGS = {
    "celcius": "Celsius",
    "°c": "Celsius",
    "c": "Celsius",
    "hz": "Hertz",
    "%": "Percent",
    "preparing": "Occupied",
    "charging": "Occupied",
    "suspendedev": "Occupied",
    "suspendedevse": "Occupied",
    "finishing": "Occupied",
}

# What an unknown value is read as. None: no value is safe to put in its place, so the raw text is kept, and whoever
# looks it up in a table finds nothing. That loses one sample; refusing the message would lose the bill (T38).
_UNKNOWN_VALUES: dict[str, str | None] = {
    "StatusNotification.errorCode": "OtherError",
    # Neither promised to drivers nor reported as broken.
    "StatusNotification.status": "Unavailable",
    "StatusNotification.connectorStatus": "Unavailable",
    "StopTransaction.reason": "Other",
    "Transaction.stoppedReason": "Other",
    "BootNotification.reason": "Unknown",
    "SampledValue.context": "Other",
    "TransactionSampledValue.context": "Other",
    # A measurand left out would be read as energy, a unit as Wh, a phase as the sum of all: wrong by factors.
    "SampledValue.measurand": None,
    "SampledValue.unit": None,
    "SampledValue.phase": None,
    "SampledValue.location": None,
    "SampledValue.format": None,
    "TransactionSampledValue.measurand": None,
    "TransactionSampledValue.unit": None,
    "TransactionSampledValue.phase": None,
    "TransactionSampledValue.location": None,
    "TransactionSampledValue.format": None,
    "TransactionEvent.triggerReason": None,
    "Transaction.chargingState": None,
    # Never read as another kind of token; as it matches none, the answer is Invalid.
    "IdToken.type": None,
}

_INTEGER = re.compile(r"\s*([+-]?\d{1,18})(?:\.0{1,18})?\s*")
_DECIMAL = re.compile(r"\s*([+-]?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?)\s*")
_TIME = re.compile(
    r"\s*(\d{4,9})-(\d\d?)-(\d\d?)(?:[Tt]|\s+)(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"\s*(?P<zone>[Zz]|([+-])(\d\d):?(\d\d)?)?\s*"
)


def _whole_number(kind: inspect.IntType, value: Any, place: _Place) -> Any:
    # Beyond 2**53 a float no longer says which integer it was.
    lossless = type(value) is float and value.is_integer() and abs(value) <= 2**53
    return int(value) if lossless else _STUCK


def _integer_from_text(kind: inspect.IntType, value: Any, place: _Place) -> Any:
    found = _INTEGER.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else _STUCK


def _float_from_text(kind: inspect.FloatType, value: Any, place: _Place) -> Any:
    found = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found else _STUCK


def _bool_from_text(kind: inspect.BoolType, value: Any, place: _Place) -> Any:
    return {"true": True, "false": False}.get(value.lower(), _STUCK) if isinstance(value, str) else _STUCK


def _text_from_number(kind: inspect.StrType, value: Any, place: _Place) -> Any:
    # 1.50 arrives as 1.5: the same measurement, but not the same name.
    lossless = type(value) is int or (type(value) is float and not _identifies(place))
    return msgspec.json.encode(value).decode() if lossless else _STUCK


def _text_from_json(kind: inspect.StrType, value: Any, place: _Place) -> Any:
    open_ended = place.name == "data" and isinstance(value, dict | list)
    return msgspec.json.encode(value).decode() if open_ended else _STUCK


def _kept_whole(kind: inspect.StrType, value: Any, place: _Place) -> Any:
    whole = _identifies(place) or (kind.max_length or 0) >= _CONTENT_LENGTH
    return value if whole and isinstance(value, str) else _STUCK


def _identifies(place: _Place) -> bool:
    return not _IDENTIFIERS.isdisjoint((place.name, f"{place.owner}.{place.name}"))


def _truncated(kind: inspect.StrType, value: Any, place: _Place) -> Any:
    return value[: kind.max_length] if isinstance(value, str) else _STUCK


def _respelled(kind: inspect.LiteralType, value: Any, place: _Place) -> Any:
    if not isinstance(value, str):
        return _STUCK
    official = {str(known).casefold(): known for known in kind.values}
    text = value.strip().casefold()
    return official.get(text) or official.get(_SPELLINGS.get(text, "").casefold(), _STUCK)


def _unknown_value(kind: inspect.LiteralType, value: Any, place: _Place) -> Any:
    where = f"{place.owner}.{place.name}"
    if not isinstance(value, str) or where not in _UNKNOWN_VALUES:
        return _STUCK
    return _UNKNOWN_VALUES[where] or value


def _leap_second(kind: inspect.DateTimeType, value: Any, place: _Place) -> Any:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    leap = found and found["zone"] and found[6] == "60"
    return _moment(value) or _STUCK if leap else _STUCK


def _time_without_zone(kind: inspect.DateTimeType, value: Any, place: _Place) -> Any:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    return _moment(value) or _STUCK if found and not found["zone"] else _STUCK


def _odd_time(kind: inspect.DateTimeType, value: Any, place: _Place) -> Any:
    return _moment(value) or _STUCK if isinstance(value, str) else _STUCK


def _impossible_time(kind: inspect.DateTimeType, value: Any, place: _Place) -> Any:
    return NO_CLOCK if isinstance(value, str) else _STUCK


def _moment(text: str) -> datetime | None:
    """The moment that an oddly written time means, UTC where it names no zone."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    second = 59 if second == 60 else second  # Python has no leap second.
    fraction = int((found[7] or "")[:6].ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, fraction, tzinfo=_zone(found))
    except (ValueError, OverflowError):
        return None


def _zone(found: re.Match[str]) -> timezone:
    _, sign, hours, minutes = found.groups()[7:]
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset)


def _open_without_vendor(kind: inspect.CustomType, value: Any, place: _Place) -> Any:
    return kind.cls(value) if isinstance(value, dict) else _STUCK


_REPAIRS = (
    Repair("whole_number", "12.0 for an integer (T53)", inspect.IntType, _whole_number, lawful=True),
    Repair("number_from_text", "an integer written as text (T53)", inspect.IntType, _integer_from_text),
    Repair("number_from_text", "a number written as text (T53)", inspect.FloatType, _float_from_text),
    Repair("boolean_from_text", "true or false written as text", inspect.BoolType, _bool_from_text),
    Repair("text_from_number", "a text written as a number (T53)", inspect.StrType, _text_from_number),
    Repair("text_from_json", "1.6 DataTransfer data as an object", inspect.StrType, _text_from_json),
    Repair("kept_whole", "an over-long identifier or content (T31)", inspect.StrType, _kept_whole, final=True),
    Repair("truncated", "an over-long text for display (T46)", inspect.StrType, _truncated),
    Repair("respelled", "another case or a known misspelling (T62)", inspect.LiteralType, _respelled),
    Repair("unknown_value", "a value no version defines (T38)", inspect.LiteralType, _unknown_value, final=True),
    Repair("leap_second", "a leap second, read as the one before", inspect.DateTimeType, _leap_second, True, True),
    Repair(
        "time_without_zone", "a time without a zone: UTC (T47)", inspect.DateTimeType, _time_without_zone, False, True
    ),
    Repair("odd_time", "+02, 2024-1-5 7:00, a decimal comma (T48)", inspect.DateTimeType, _odd_time, False, True),
    Repair("impossible_time", "29 February, year 222222017 (T49)", inspect.DateTimeType, _impossible_time, False, True),
    Repair("vendor_unnamed", "customData without vendorId", inspect.CustomType, _open_without_vendor, final=True),
)

_LAWFUL = tuple(repair for repair in _REPAIRS if repair.lawful)

# Lists of measurements: an empty or partly unreadable one is taken for what it holds.
_METERED = frozenset({"meterValue", "transactionData", "sampledValue"})

# What is left out: properties that say nothing or that nobody defined, samples that cannot be read.
_OMISSIONS = {
    "null_for_absent": "null for an optional property (T52)",
    "empty_for_absent": "an empty array for an optional one (T52)",
    "unusable_for_absent": "customData that is no object",
    "empty_kept": "no meter values or samples where at least one is due (T52)",
    "unreadable_sample": "a sample without a usable value (T55)",
    "unknown_property": "a property no version defines (row 17)",
}


def described() -> Iterator[tuple[str, str]]:
    """Every repair's name and what it repairs, for the documentation."""
    yield from ((repair.name, repair.what) for repair in _REPAIRS)
    yield from _OMISSIONS.items()


# --- the reader -------------------------------------------------------------------------------------------------------


class _Reader:
    """Walks a payload beside its type and builds the message; the type's depth bounds the walk's.

    It constructs the structs itself, because construction does not validate: so an over-long tag stays what it is.
    """

    def __init__(self, repairs: tuple[Repair, ...], liberal: bool) -> None:
        self._table = repairs
        self._liberal = liberal
        self.repairs: list[str] = []

    def read(self, kind: inspect.Type, value: Any, place: _Place) -> Any:
        match kind:
            case inspect.StructType():
                return self._struct(kind, value, place)
            case inspect.ListType():
                return self._list(kind, value, place)
            case inspect.UnionType():
                return self.read(_without_none(kind), value, place)
            case _:
                return self._leaf(kind, value, place)

    def _struct(self, kind: inspect.StructType, value: Any, place: _Place) -> Any:
        if not isinstance(value, dict):
            raise _refusal(Fault.TYPE if place.path else Fault.FORMAT, place, "is not an object")
        fields = _fields(kind.cls)
        built = {}
        for name, item in value.items():
            here = _Place(kind.cls.__name__, name, (*place.path, name))
            field = fields.get(name)
            if field is None:
                self._drop("unknown_property", Fault.FORMAT, here, item)
            elif field.required or not self._says_nothing(field.type, item, here):
                built[field.name] = self.read(field.type, item, here)
        for name, field in fields.items():
            if field.required and field.name not in built:
                raise _refusal(Fault.OCCURRENCE, _Place("", name, (*place.path, name)), "is required")
        return kind.cls(**built)

    def _says_nothing(self, kind: inspect.Type, value: Any, place: _Place) -> bool:
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

    def _list(self, kind: inspect.ListType, value: Any, place: _Place) -> list[Any]:
        if not isinstance(value, list):
            raise _refusal(Fault.TYPE, place, "is not an array")
        samples = self._liberal and place.name in _METERED
        if not (kind.min_length or 0) <= len(value) <= (kind.max_length or len(value)):
            if value or not samples:
                raise _refusal(Fault.OCCURRENCE, place, f"has {len(value)} items")
            self._note("empty_kept", place, value)
        read = self._sample if samples else self._item
        items = (read(kind.item_type, item, place, index) for index, item in enumerate(value))
        return [item for item in items if item is not _STUCK]

    def _item(self, kind: inspect.Type, item: Any, place: _Place, index: int) -> Any:
        return self.read(kind, item, place._replace(path=(*place.path, index)))

    def _sample(self, kind: inspect.Type, item: Any, place: _Place, index: int) -> Any:
        """A sample, or a mark that it is left out: its readable neighbours may be the bill (T55)."""
        try:
            return self._item(kind, item, place, index)
        except OcppError as error:
            self._note("unreadable_sample", place._replace(path=(*place.path, index)), error.description)
            return _STUCK

    def _leaf(self, kind: inspect.Type, value: Any, place: _Place) -> Any:
        sent = value
        if (read := _plain(kind, value)) is not _STUCK:
            return read
        for repair in self._table:
            if not isinstance(kind, repair.of) or (mended := repair.mend(kind, value, place)) is _STUCK:
                continue
            self._note(repair.name, place, sent)
            if repair.final or _plain(kind, mended) is not _STUCK:
                return mended
            value = mended
        raise _refusal(_leaf_fault(kind, value), place, "has a value that is not allowed")

    def _drop(self, name: str, fault: Fault, place: _Place, value: Any) -> None:
        if not self._liberal:
            raise _refusal(fault, place, _OMISSIONS[name])
        self._note(name, place, value)

    def _note(self, name: str, place: _Place, sent: Any) -> None:
        if len(self.repairs) >= _MAX_NOTES:
            return
        # What is kept whole is in the message still, and may be a secret.
        raw = "" if name == "kept_whole" else f" {_shortened(sent)}"
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
    return value if fits else _STUCK


def _standard_time(value: Any) -> Any:
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return _STUCK
    return moment if moment.tzinfo else _STUCK


def _open(kind: type, value: Any) -> Any:
    try:
        return open_object(kind, value)
    except ValueError:
        return _STUCK


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


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _MAX_NOTE else f"{text[:_MAX_NOTE]}…"


def _refusal(fault: Fault, place: _Place, why: str) -> OcppError:
    return OcppError(fault, f"{place} {why}")
