"""Writes the message types of each version from the official schemas.

Run as `python -m csms.ocpp.generate`. What it writes is checked in; a test generates it anew and
compares.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csms.ocpp import schemas
from csms.ocpp.version import Version

Schema = Mapping[str, Any]

_LINE = 120

# 1.6 writes its types inline and nameless. These are the names of its specification, by the class
# and property that use them; a property not listed is named after itself (`idTagInfo`: IdTagInfo).
_NAMES_16 = {
    "AuthorizationData.idTagInfo": "IdTagInfo",
    "BootNotificationResponse.status": "RegistrationStatus",
    "CancelReservationResponse.status": "CancelReservationStatus",
    "ChangeAvailability.type": "AvailabilityType",
    "ChangeAvailabilityResponse.status": "AvailabilityStatus",
    "ChangeConfigurationResponse.status": "ConfigurationStatus",
    "ChargingProfile.chargingProfileKind": "ChargingProfileKindType",
    "ChargingProfile.chargingProfilePurpose": "ChargingProfilePurposeType",
    "ChargingProfile.recurrencyKind": "RecurrencyKindType",
    "ChargingSchedule.chargingRateUnit": "ChargingRateUnitType",
    "ClearCacheResponse.status": "ClearCacheStatus",
    "ClearChargingProfile.chargingProfilePurpose": "ChargingProfilePurposeType",
    "ClearChargingProfileResponse.status": "ClearChargingProfileStatus",
    "DataTransferResponse.status": "DataTransferStatus",
    "DiagnosticsStatusNotification.status": "DiagnosticsStatus",
    "FirmwareStatusNotification.status": "FirmwareStatus",
    "GetCompositeSchedule.chargingRateUnit": "ChargingRateUnitType",
    "GetCompositeScheduleResponse.status": "GetCompositeScheduleStatus",
    "GetConfigurationResponse.configurationKey": "KeyValue",
    "IdTagInfo.status": "AuthorizationStatus",
    "RemoteStartTransactionResponse.status": "RemoteStartStopStatus",
    "RemoteStopTransactionResponse.status": "RemoteStartStopStatus",
    "ReserveNowResponse.status": "ReservationStatus",
    "Reset.type": "ResetType",
    "ResetResponse.status": "ResetStatus",
    "SampledValue.context": "ReadingContext",
    "SampledValue.format": "ValueFormat",
    "SampledValue.unit": "UnitOfMeasure",
    "SendLocalList.localAuthorizationList": "AuthorizationData",
    "SendLocalListResponse.status": "UpdateStatus",
    "SetChargingProfile.csChargingProfiles": "ChargingProfile",
    "SetChargingProfileResponse.status": "ChargingProfileStatus",
    "StatusNotification.errorCode": "ChargePointErrorCode",
    "StatusNotification.status": "ChargePointStatus",
    # The official StopTransaction knows no Hertz and allows no samples at all: types of its own.
    "StopTransaction.transactionData": "TransactionMeterValue",
    "TransactionMeterValue.sampledValue": "TransactionSampledValue",
    "TransactionSampledValue.context": "ReadingContext",
    "TransactionSampledValue.format": "ValueFormat",
    "TransactionSampledValue.unit": "TransactionUnitOfMeasure",
    "TriggerMessage.requestedMessage": "MessageTrigger",
    "TriggerMessageResponse.status": "TriggerMessageStatus",
    "UnlockConnectorResponse.status": "UnlockStatus",
}

# A definition called like an action would hide its request: it keeps its full official name.
_CLASHING = frozenset({"ClearChargingProfileType"})

# A run of capitals is one word, with its plural s: `fixedPFAbsorb`, `prioritizedEMAIDs`.
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s\b)[a-z])")

_BASE = """
# No message can hold itself, so the garbage collector need not look for cycles (gc=False).
class _Wire(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False, rename="camel"):
    pass
"""

_CUSTOM_DATA = '''
class CustomData(dict[str, Any]):
    """What a vendor adds: its `vendorId` (at most 255 characters) and whatever else it likes."""
'''


def main() -> None:
    for version in Version:
        Path(__file__).with_name(f"{version.package}.py").write_text(module(version), "utf-8")


def module(version: Version) -> str:
    """The source text of the module with the message types of `version`."""
    writer = _Writer(version)
    for type_name in schemas.type_names(version):
        schema = schemas.official(version, type_name)
        # A request is called like its action, an answer says so.
        writer.struct(type_name.removesuffix("Request"), schema, schema.get("definitions", {}))
    return writer.text()


class _Writer:
    """Collects the classes and aliases of one module; a name must always mean the same text."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self._texts: dict[str, str] = {}
        self._enums: dict[str, str] = {}
        self._structs: dict[str, str] = {}

    def text(self) -> str:
        texts = [self._texts[name] for name in sorted(self._texts, key=_by_number)]
        enums = [self._enums[name] for name in sorted(self._enums)]
        structs = [self._structs[name] for name in sorted(self._structs)]
        blocks = ["\n".join([*texts, "", *enums]), _BASE, *structs]
        body = "\n\n\n".join(block.strip() for block in blocks)
        return f"{_head(self._version, body)}\n\n{body}\n"

    def struct(self, name: str, schema: Schema, definitions: Schema) -> str:
        required = frozenset(schema.get("required", ()))
        properties = schema.get("properties", {})
        # Required first, each group in the official order.
        ordered = sorted(properties, key=lambda wire: wire not in required)
        lines = [self._field(name, wire, properties[wire], wire in required, definitions) for wire in ordered]
        body = "\n".join(f"    {line}" for line in lines or ["pass"])
        return _add(self._structs, name, f"class {name}(_Wire, kw_only=True):\n{body}")

    def _field(self, owner: str, wire: str, schema: Schema, required: bool, definitions: Schema) -> str:
        name = _python_name(wire)
        kind = self._type(f"{owner}.{wire}", schema, definitions)
        annotation = kind if required or kind == "Any" else f"{kind} | None"
        default = _default(name, wire, required)
        return _wrapped(f"{name}: {annotation}{default}")

    def _type(self, place: str, schema: Schema, definitions: Schema) -> str:
        if "$ref" in schema:
            return self._definition(schema["$ref"].rpartition("/")[2], definitions)
        if "enum" in schema:
            return self._enum(_inline_name(place), schema)
        match schema.get("type"):
            case "object":
                return self.struct(_inline_name(place), schema, definitions)
            case "array":
                items = self._type(place, schema["items"], definitions)
                return _limited(f"list[{items}]", schema, _LIST_LIMITS)
            case "string":
                return self._string(schema)
            case "integer":
                return self._integer(schema)
            case "number":
                return _limited("float", schema, _NUMBER_LIMITS)
            case "boolean":
                return "bool"
            case None:
                return "Any"
            case other:
                raise ValueError(f"{place}: no Python type for {other!r}")

    def _definition(self, official: str, definitions: Schema) -> str:
        name = official if official in _CLASHING else official.removesuffix("Type")
        schema = definitions[official]
        if "enum" in schema:
            return self._enum(name, schema)
        if schema.get("additionalProperties") is not False:
            # Only CustomDataType is open; what it may hold is checked by the catalogue's decoders.
            if official != "CustomDataType":
                raise ValueError(f"{official} is open: it needs a type that keeps what it holds")
            return _add(self._structs, name, _CUSTOM_DATA)
        return self.struct(name, schema, definitions)

    def _enum(self, name: str, schema: Schema) -> str:
        values = [json.dumps(value) for value in schema["enum"]]
        line = f"{name} = Literal[{', '.join(values)}]"
        if len(line) > _LINE:
            line = f"{name} = Literal[\n" + "".join(f"    {value},\n" for value in values) + "]"
        return _add(self._enums, name, line)

    def _integer(self, schema: Schema) -> str:
        """Bounded to what a database column holds where the schema knows no bounds."""
        if schema.keys() & _NUMBER_LIMITS.keys():
            return _limited("int", {"minimum": -(1 << 63), "maximum": (1 << 63) - 1} | schema, _NUMBER_LIMITS)
        return _add(self._texts, "Int64", "Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]")

    def _string(self, schema: Schema) -> str:
        if schema.get("format") == "date-time":
            return _add(self._texts, "DateTime", "DateTime = Annotated[datetime, Meta(tz=True)]")
        length = schema.get("maxLength")
        if length is None:
            return "str"
        name = f"Str{length}"
        return _add(self._texts, name, f"{name} = Annotated[str, Meta(max_length={length})]")


_LIST_LIMITS = {"minItems": "min_length", "maxItems": "max_length"}
# `multipleOf` is left out: no binary float is a multiple of 0.1. The schemas judge what we send.
_NUMBER_LIMITS = {"minimum": "ge", "maximum": "le"}


def _limited(kind: str, schema: Schema, limits: Mapping[str, str]) -> str:
    found = {ours: schema[official] for official, ours in limits.items() if official in schema}
    meta = [f"{ours}={_number(kind, value)}" for ours, value in found.items()]
    return f"Annotated[{kind}, Meta({', '.join(meta)})]" if meta else kind


def _number(kind: str, value: float) -> str:
    return repr(float(value) if kind == "float" else int(value))


def _wrapped(line: str) -> str:
    """Break a field too long for a line as a formatter would."""
    if len(line) + 4 <= _LINE:
        return line
    if " = field(" in line:
        head, default = line.removesuffix(")").split(" = field(")
        return f"{head} = field(\n        {default}\n    )"
    name, kind = line.split(": ", 1)
    if kind.endswith(" = None"):
        return f"{name}: (\n        {kind.removesuffix(' = None')}\n    ) = None"
    return f"{name}: Annotated[\n        {kind.removeprefix('Annotated[').removesuffix(']')}\n    ]"


def _inline_name(place: str) -> str:
    prop = place.rpartition(".")[2]
    return _NAMES_16.get(place, prop[0].upper() + prop[1:])


def _python_name(wire: str) -> str:
    """The attribute for a property: `evseId` is `evse_id`, a keyword gets a trailing underscore."""
    name = _WORD_BREAK.sub("_", wire).lower()
    return f"{name}_" if keyword.iskeyword(name) else name


def _default(name: str, wire: str, required: bool) -> str:
    first, *rest = name.split("_")
    camel = first + "".join(word.capitalize() for word in rest)
    if camel == wire:
        return "" if required else " = None"
    return f' = field(name="{wire}")' if required else f' = field(default=None, name="{wire}")'


def _add(table: dict[str, str], name: str, text: str) -> str:
    if table.setdefault(name, text) != text:
        raise ValueError(f"two different types want the name {name}")
    return name


def _by_number(name: str) -> tuple[str, int]:
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :] or 0)


def _head(version: Version, body: str) -> str:
    typing = [name for name in ("Annotated", "Any", "Literal") if re.search(rf"\b{name}\b", body)]
    struct = ["Meta", "Struct", *(["field"] if " field(" in body else [])]
    return "\n".join(
        [
            f'"""The messages of OCPP {version}. Generated by `csms.ocpp.generate`: do not edit."""',
            "",
            "from __future__ import annotations",
            "",
            "from datetime import datetime",
            f"from typing import {', '.join(typing)}",
            "",
            f"from msgspec import {', '.join(struct)}",
        ]
    )


if __name__ == "__main__":
    main()
