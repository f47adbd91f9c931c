"""What real stations get wrong, and how each of it is repaired: a table of named repairs (T31, T38, T46-T56, T62)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from csms.ocpp import schemas

WITHOUT_ZONE: Final = "time_without_zone"
NO_CLOCK: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that cannot be: the station has no clock, its receiver does."""

_MAX_NOTE: Final = 120


class Place(NamedTuple):
    """Where a value stands: the struct and property it belongs to, and the whole path for people."""

    owner: str
    name: str
    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return shortened(schemas.dotted(self.path))


class Stuck:
    """What a repair answers when it has nothing to offer."""


STUCK: Final = Stuck()


class Repair(NamedTuple):
    """One thing real stations get wrong. A `final` result is taken though the type would not allow it."""

    name: str
    what: str
    of: type[inspect.Type]
    mend: Callable[[Any, Any, Place], Any]
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


def _whole_number(kind: inspect.IntType, value: Any, place: Place) -> Any:
    # Beyond 2**53 a float no longer says which integer it was.
    lossless = type(value) is float and value.is_integer() and abs(value) <= 2**53
    return int(value) if lossless else STUCK


def _integer_from_text(kind: inspect.IntType, value: Any, place: Place) -> Any:
    found = _INTEGER.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else STUCK


def _float_from_text(kind: inspect.FloatType, value: Any, place: Place) -> Any:
    found = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found else STUCK


def _bool_from_text(kind: inspect.BoolType, value: Any, place: Place) -> Any:
    return {"true": True, "false": False}.get(value.lower(), STUCK) if isinstance(value, str) else STUCK


def _text_from_number(kind: inspect.StrType, value: Any, place: Place) -> Any:
    # 1.50 arrives as 1.5: the same measurement, but not the same name.
    lossless = type(value) is int or (type(value) is float and not _identifies(place))
    return msgspec.json.encode(value).decode() if lossless else STUCK


def _text_from_json(kind: inspect.StrType, value: Any, place: Place) -> Any:
    open_ended = place.name == "data" and isinstance(value, dict | list)
    return msgspec.json.encode(value).decode() if open_ended else STUCK


def _kept_whole(kind: inspect.StrType, value: Any, place: Place) -> Any:
    whole = _identifies(place) or (kind.max_length or 0) >= _CONTENT_LENGTH
    return value if whole and isinstance(value, str) else STUCK


def _identifies(place: Place) -> bool:
    return not _IDENTIFIERS.isdisjoint((place.name, f"{place.owner}.{place.name}"))


def _truncated(kind: inspect.StrType, value: Any, place: Place) -> Any:
    return value[: kind.max_length] if isinstance(value, str) else STUCK


def _respelled(kind: inspect.LiteralType, value: Any, place: Place) -> Any:
    if not isinstance(value, str):
        return STUCK
    official = {str(known).casefold(): known for known in kind.values}
    text = value.strip().casefold()
    return official.get(text) or official.get(_SPELLINGS.get(text, "").casefold(), STUCK)


def _unknown_value(kind: inspect.LiteralType, value: Any, place: Place) -> Any:
    where = f"{place.owner}.{place.name}"
    if not isinstance(value, str) or where not in _UNKNOWN_VALUES:
        return STUCK
    return _UNKNOWN_VALUES[where] or value


def _leap_second(kind: inspect.DateTimeType, value: Any, place: Place) -> Any:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    leap = found and found["zone"] and found[6] == "60"
    return _moment(value) or STUCK if leap else STUCK


def _time_without_zone(kind: inspect.DateTimeType, value: Any, place: Place) -> Any:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    return _moment(value) or STUCK if found and not found["zone"] else STUCK


def _odd_time(kind: inspect.DateTimeType, value: Any, place: Place) -> Any:
    return _moment(value) or STUCK if isinstance(value, str) else STUCK


def _impossible_time(kind: inspect.DateTimeType, value: Any, place: Place) -> Any:
    return NO_CLOCK if isinstance(value, str) else STUCK


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


def _open_without_vendor(kind: inspect.CustomType, value: Any, place: Place) -> Any:
    return kind.cls(value) if isinstance(value, dict) else STUCK


REPAIRS = (
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
    Repair(WITHOUT_ZONE, "a time without a zone: UTC (T47)", inspect.DateTimeType, _time_without_zone, False, True),
    Repair("odd_time", "+02, 2024-1-5 7:00, a decimal comma (T48)", inspect.DateTimeType, _odd_time, False, True),
    Repair("impossible_time", "29 February, year 222222017 (T49)", inspect.DateTimeType, _impossible_time, False, True),
    Repair("vendor_unnamed", "customData without vendorId", inspect.CustomType, _open_without_vendor, final=True),
)

LAWFUL = tuple(repair for repair in REPAIRS if repair.lawful)

# Lists of measurements: an empty or partly unreadable one is taken for what it holds.
METERED = frozenset({"meterValue", "transactionData", "sampledValue"})

# What is left out: properties that say nothing or that nobody defined, samples that cannot be read.
OMISSIONS = {
    "null_for_absent": "null for an optional property (T52)",
    "empty_for_absent": "an empty array for an optional one (T52)",
    "unusable_for_absent": "customData that is no object",
    "empty_kept": "no meter values or samples where at least one is due (T52)",
    "unreadable_sample": "a sample without a usable value (T55)",
    "unknown_property": "a property no version defines (row 17)",
}


def described() -> Iterator[tuple[str, str]]:
    """Every repair's name and what it repairs, for the documentation."""
    yield from ((repair.name, repair.what) for repair in REPAIRS)
    yield from OMISSIONS.items()


def shortened(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _MAX_NOTE else f"{text[:_MAX_NOTE]}…"
