"""Describes what is published (MQTT, server-sent events, webhooks) as an AsyncAPI 3 document, from the same types."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

import msgspec

from csms.bus.state import StationState
from csms.bus.topics import events_topic, state_topic
from csms.domain.events import AnyEvent

_SCHEMAS = "#/components/schemas/"
_ENVELOPE: dict[str, Any] = {
    "event_id": {
        "type": "string",
        "pattern": r"^[0-9]+-[0-9]+$",
        "description": "Stays the same when the event is told again. Two numbers that rise together.",
    },
    "operator": {"type": "string"},
    "station": {"type": "string", "description": "The station's OCPP identity."},
}
_PARAMETERS: dict[str, Any] = {
    "operator": {"description": "Its name; + # / % and NUL are percent-encoded."},
    "station": {"description": "Its OCPP identity; + # / % and NUL are percent-encoded."},
}
_TEST = {
    "type": "object",
    "description": "What `POST /api/v1/webhooks/{id}/test` sends.",
    "properties": {
        "event_id": {"type": "string"}, "type": {"const": "webhook.test"}, "at": {"type": "string", "format": "date-time"},
    },
    "required": ["event_id", "type", "at"],
}  # fmt: skip
_GAP = {
    "type": "object",
    "description": "What follows `after` is not kept any more; the stream goes on with `oldest`, or with what happens.",
    "properties": {
        "type": {"const": "stream.gap"}, "after": {"type": "string"}, "oldest": {"type": ["string", "null"]},
    },
    "required": ["type", "after", "oldest"],
}  # fmt: skip


def document(version: str) -> dict[str, Any]:
    """The document, as JSON is made of."""
    schemas = _schemas()
    events = [schemas_of.__name__ for schemas_of in get_args(AnyEvent)]
    schemas["Event"] = {"oneOf": [{"$ref": _SCHEMAS + name} for name in events], "discriminator": "type"}
    schemas["TestEvent"], schemas["StreamGap"] = _TEST, _GAP
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "CSMS events",
            "version": version,
            "description": "What happens in a charging network. Energies in Wh, power in W, charge in percent, times in "
            "UTC. A field without a value is absent; ignore types and fields you do not know.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": _server("mqtt", "localhost:1883", "The broker that CSMS_MQTT_URL names.", protocolVersion="5.0"),
            "api": _server("http", "localhost:8080", "The REST API."),
        },
        "channels": _channels(events),
        "operations": _operations(),
        "components": {"schemas": schemas, "messages": _messages(events)},
    }


def _server(protocol: str, host: str, description: str, **more: str) -> dict[str, Any]:
    variables = {"host": {"default": host, "description": "Where it is."}}
    return {"host": "{host}", "protocol": protocol, "description": description, "variables": variables, **more}


def _channels(events: list[str]) -> dict[str, Any]:
    return {
        "events": _channel(
            events_topic("{operator}"), "broker", ["EventBatch"], ["operator"],
            "Every event of an operator, at least once, in the order of its storage.",
        ),
        "states": _channel(
            state_topic("{operator}", "{station}"), "broker", ["StationState"], ["operator", "station"],
            "The latest state of a station, about once a second while it changes; some may be left out under load.",
        ),
        "stream": _channel(
            "/api/v1/events", "api", [*events, "StreamGap"], [],
            "Server-sent events: `id` is the event_id, `event` the type, `data` the event. "
            "Resume with Last-Event-ID or `after`; an id without data tells where the reader is.",
        ),
        "webhooks": _channel(
            None, None, ["WebhookBatch"], [], "Requests to the receivers in /api/v1/webhooks, signed as Standard Webhooks say."
        ),
    }  # fmt: skip


def _channel(
    address: str | None, server: str | None, messages: list[str], parameters: list[str], description: str
) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    if server is not None:
        channel["servers"] = [{"$ref": f"#/servers/{server}"}]
    if parameters:
        channel["parameters"] = {name: _PARAMETERS[name] for name in parameters}
    return channel


def _operations() -> dict[str, Any]:
    def sending(channel: str, summary: str, **bindings: Any) -> dict[str, Any]:
        return {
            "action": "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "bindings": bindings,
        }

    return {
        "publishEvents": sending("events", "Tell all that happened.", mqtt=_mqtt(1)),
        "publishStates": sending("states", "Tell how a station is now.", mqtt=_mqtt(0)),
        "streamEvents": sending("stream", "Tell a reader of server-sent events.", http={"method": "GET", "bindingVersion": "0.3.0"}),
        "callWebhooks": sending("webhooks", "Tell a receiver.", http={"method": "POST", "bindingVersion": "0.3.0"}),
    }  # fmt: skip


def _mqtt(qos: int) -> dict[str, Any]:
    return {"qos": qos, "retain": False, "bindingVersion": "0.2.0"}


def _messages(events: list[str]) -> dict[str, Any]:
    test = {"$ref": _SCHEMAS + "TestEvent"}
    event = {"$ref": _SCHEMAS + "Event"}
    return {
        "EventBatch": _message("Events in their order.", _batch(event)),
        "WebhookBatch": _message("Events in their order, or one for a test.", _batch({"anyOf": [event, test]})),
        "StationState": _message("A station as it was at a moment.", {"$ref": _SCHEMAS + "StationState"}),
        **{
            name: _message(None, {"$ref": _SCHEMAS + name}, name="stream.gap" if name == "StreamGap" else _type(name))
            for name in [*events, "StreamGap"]
        },
    }


def _batch(event: dict[str, Any]) -> dict[str, Any]:
    listed = {"type": "array", "minItems": 1, "maxItems": 500, "items": event}
    return {"type": "object", "properties": {"events": listed}, "required": ["events"]}


def _message(summary: str | None, payload: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"payload": payload, **({"summary": summary} if summary else {}), **more}


def _type(name: str) -> str:
    return next(event.__struct_config__.tag for event in get_args(AnyEvent) if event.__name__ == name)


def _schemas() -> dict[str, Any]:
    """Of all that is published: absent stands for null, and each event has the envelope's fields."""
    _, schemas = msgspec.json.schema_components((AnyEvent, StationState), ref_template=_SCHEMAS + "{name}")
    structs = {struct.__name__: struct for struct in (*get_args(AnyEvent), *_within(StationState))}
    for name, schema in schemas.items():
        for field in msgspec.structs.fields(structs[name]):
            schema["properties"][field.encode_name] = _field(schema["properties"][field.encode_name], field.type)
        if structs[name] in get_args(AnyEvent):
            schema["properties"] = {**_ENVELOPE, **schema["properties"]}
            schema["required"] = [*_ENVELOPE, *schema["required"]]
    return schemas


def _within(struct: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """A struct and those in its fields."""
    inner = [part for field in msgspec.structs.fields(struct) for part in get_args(field.type)]
    return [
        struct,
        *(
            each
            for part in inner
            if isinstance(part, type) and issubclass(part, msgspec.Struct)
            for each in _within(part)
        ),
    ]


def _field(schema: dict[str, Any], type_: Any) -> dict[str, Any]:
    rest = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(rest) == 1:
        schema = rest[0]
    if type_ is datetime or datetime in get_args(type_):
        schema = {**schema, "format": "date-time"}
    return schema
