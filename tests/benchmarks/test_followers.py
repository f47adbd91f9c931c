"""Events are recognised by station and time; only those of what was sent since the beginning count."""

from __future__ import annotations

from types import SimpleNamespace

from benchmarks.followers import Followed, _Event
from simulators.histogram import Histogram

STATUS = b'[2,"1","StatusNotification",{"connectorId":1,"timestamp":"2026-05-04T12:00:01.000Z"}]'


def followed() -> Followed:
    made = Followed()
    made.latency["x"] = Histogram()
    return made


def test_event_of_a_message_that_was_sent_is_timed() -> None:
    made = followed()
    made.sent(SimpleNamespace(name="CS-1"), STATUS)
    made.arrived("x", _Event("CS-1", "2026-05-04T12:00:01Z"))
    assert made.latency["x"].total == 1


def test_event_of_another_station_or_time_is_not() -> None:
    made = followed()
    made.sent(SimpleNamespace(name="CS-1"), STATUS)
    made.arrived("x", _Event("CS-2", "2026-05-04T12:00:01Z"))
    made.arrived("x", _Event("CS-1", "2026-05-04T12:00:02Z"))
    assert made.latency["x"].total == 0


def test_what_was_sent_before_the_beginning_does_not_count() -> None:
    made = followed()
    made.sent(SimpleNamespace(name="CS-1"), STATUS)
    made.begin()
    made.arrived("x", _Event("CS-1", "2026-05-04T12:00:01Z"))
    assert made.latency["x"].total == 0


def test_message_without_a_time_is_not_followed() -> None:
    made = followed()
    made.sent(SimpleNamespace(name="CS-1"), b'[2,"1","Heartbeat",{}]')
    assert made._sent == {}
