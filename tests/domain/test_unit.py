"""Units of work: the hot state follows what was kept, and only then."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from csms.domain.events import StationConnected
from csms.domain.sessions import Session, closed
from csms.domain.stations import Boot, Connector, Station
from csms.domain.unit import Metered, Noted, Reported, Unit, Unmatched

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
RUNNING = Session(id=9, transaction_id="T", start_key="T", version="2.0.1", started_at=NOON, received_at=NOON)


@pytest.fixture
def unit() -> Unit:
    return Unit(Station(1, 1, "default", "CS-1"), NOON)


def test_new_unit_is_empty(unit):
    assert unit.empty


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("events", StationConnected(at=NOON, version="1.6")),
        ("connectors", Connector(1, 1, "available", NOON)),
        ("opened", RUNNING),
        ("changed", RUNNING),
        ("metered", Metered(None, 1, 1, [])),
        ("unmatched", Unmatched("StopTransaction", b"{}", "unknown")),
        ("reported", Reported("variable", "Meter/Power", b"{}")),
        ("noted", Noted(NOON, "security", 3, "TamperDetectionActivated", None, b"{}")),
    ],
)
def test_unit_with_anything_to_keep_is_not_empty(unit, part, content):
    getattr(unit, part).append(content)
    assert not unit.empty


@pytest.mark.parametrize(("part", "content"), [
    ("booted", Boot("V", "M")), ("registration", "accepted"), ("connection", NOON),
])  # fmt: skip
def test_unit_that_concerns_the_station_is_not_empty(unit, part, content):
    setattr(unit, part, content)
    assert not unit.empty


def test_nothing_changes_before_the_unit_is_applied(unit):
    unit.registration, unit.next_transaction = "accepted", 2
    unit.opened.append(RUNNING)
    unit.connectors.append(Connector(1, 1, "available", NOON))
    station = unit.station
    assert (station.registration, station.next_transaction, station.sessions, station.connectors) == (
        None,
        1,
        None,
        None,
    )
    unit.apply()
    assert (station.registration, station.next_transaction) == ("accepted", 2)
    assert station.sessions == {9: RUNNING}
    assert station.connectors == {(1, 1): Connector(1, 1, "available", NOON)}


def test_applying_keeps_what_the_unit_does_not_mention(unit):
    unit.station.registration, unit.station.next_transaction = "pending", 5
    unit.connectors.append(Connector(1, 1, "available", NOON))
    unit.connectors.append(Connector(2, 1, "faulted", NOON))
    unit.apply()
    assert (unit.station.registration, unit.station.next_transaction) == ("pending", 5)
    assert len(unit.station.connectors) == 2


def test_ended_session_leaves_the_hot_state(unit):
    unit.station.sessions = {9: RUNNING}
    unit.changed.append(closed(RUNNING, NOON, "Local"))
    unit.apply()
    assert unit.station.sessions is None


def test_session_that_began_and_ended_in_one_unit_never_enters_the_hot_state(unit):
    unit.opened.append(closed(RUNNING, NOON, "Local"))
    unit.apply()
    assert unit.station.sessions is None


def test_ending_one_session_keeps_the_other(unit):
    other = Session(id=10, transaction_id="U", start_key="U", version="2.0.1", started_at=NOON, received_at=NOON)
    unit.opened += [RUNNING, other]
    unit.apply()
    assert unit.station.sessions == {9: RUNNING, 10: other}
    ending = Unit(unit.station, NOON)
    ending.changed.append(closed(RUNNING, NOON, "Local"))
    ending.apply()
    assert unit.station.sessions == {10: other}


def test_unit_sees_its_own_changes_first(unit):
    unit.station.sessions = {9: RUNNING}
    assert unit.session("T") is RUNNING
    moved = closed(RUNNING, NOON, "Local")
    unit.changed.append(moved)
    assert unit.session("T") is moved
    assert unit.session("U") is None
