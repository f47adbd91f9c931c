"""How long events take from the station to a subscriber of the broker, counted by a subscriber of its own thread."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Self

import msgspec
import paho.mqtt.client as mqtt

from simulators.clock import BEHIND
from simulators.histogram import Histogram


class _Event(msgspec.Struct):
    type: str
    at: datetime


class _Message(msgspec.Struct):
    events: list[_Event]


_decode = msgspec.json.Decoder(_Message).decode
_OF_STATIONS = frozenset({"session.opened", "session.metered", "session.closed"})  # `at` is the station's own time.


class EventListener:
    """Subscribes to all events while it is open."""

    def __init__(self, port: int, user: str, password: str):
        self.phase = "ramp"
        self._histograms: dict[str, Histogram] = {}
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(user, password)
        self._client.on_connect = lambda client, *_: client.subscribe("csms/v1/+/events", qos=0)
        self._client.on_message = self._heard
        self._port = port

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def figures(self) -> dict[str, Any]:
        """Milliseconds by phase: of sessions from what a connected station wrote (its clock is `BEHIND`), and of arrivals."""
        return {
            name: {
                "events": found.total,
                "p50": round(found.quantile(0.5) * 1000),
                "p99": round(found.quantile(0.99) * 1000),
            }
            for name, found in self._histograms.items()
        }

    def _heard(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        now = time.time()
        for event in _decode(message.payload).events:
            took = now - event.at.timestamp()
            if event.type in _OF_STATIONS and self.phase == "hold":  # In a storm stations tell what is long past.
                self._histograms.setdefault("hold_sessions", Histogram()).add(max(0.0, took - BEHIND))
            elif event.type == "station.connected":
                self._histograms.setdefault(f"{self.phase}_arrivals", Histogram()).add(max(0.0, took))
