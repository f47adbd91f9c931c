"""States: coalesced, current, bounded."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from csms.bus.state import Changed, StationKey, StationStates
from csms.domain.sessions import WITHIN, Mark, Session
from csms.domain.stations import Connector, Station
from csms.domain.unit import Unit
from csms.storage import admin
from csms.storage.database import Database
from csms.storage.outbox import Entry
from tests.conftest import NOW


def entry(station: str, operator: str = "default") -> Entry:
    return Entry(1, 0, operator, station, [])


def test_station_that_changes_often_is_taken_once() -> None:
    changed = Changed(10)
    changed.note([entry("A"), entry("B"), entry("A"), entry("A", "other")])
    assert changed.take(10) == [("default", "A"), ("default", "B"), ("other", "A")]
    assert changed.take(10) == []


def test_longest_waiting_are_taken_first() -> None:
    changed = Changed(10)
    changed.note([entry("A"), entry("B"), entry("C")])
    assert changed.take(2) == [("default", "A"), ("default", "B")]
    changed.note([entry("A")])
    assert changed.take(2) == [("default", "C"), ("default", "A")]


def test_newcomers_are_dropped_and_counted_when_full() -> None:
    changed = Changed(2)
    changed.note([entry("A"), entry("B"), entry("C"), entry("A")])
    assert (len(changed), changed.dropped) == (2, 1)
    assert changed.take(5) == [("default", "A"), ("default", "B")]


@pytest.fixture
async def station(database: Database) -> Station:
    """A station which is charging, beside one of the same name at another operator."""
    for operator in ("default", "other"):
        operator_id = await database.writer.run(admin.ensure_operator(operator))
        await database.writer.run(admin.put_station(operator_id, "CS/1", {}, NOW))
    station = Station(1, 1, "default", "CS/1")
    unit = Unit(station, NOW)
    unit.connection = ("1.6", NOW)
    unit.connectors = [Connector(1, 1, "occupied", NOW, "Charging"), Connector(2, 1, "available", NOW)]
    unit.opened = [
        Session(id=70, transaction_id="5", start_key="s", version="1.6", evse_id=1, connector_id=1,
                started_at=NOW, received_at=NOW, phase="charging", power_w=11_000.0, soc=40.0,
                first=Mark(WITHIN, NOW, 100.0), last=Mark(WITHIN, NOW, 350.5)),
        Session(id=60, transaction_id="4", start_key="r", version="1.6", started_at=NOW, received_at=NOW,
                ended_at=NOW, phase="ended"),
    ]  # fmt: skip
    await database.writer.commit(unit)
    return station


async def test_state_is_what_the_database_knows(database: Database, station: Station) -> None:
    later = NOW + timedelta(seconds=9)
    [state] = await StationStates(database).of([StationKey("default", "CS/1")], later)
    assert json.loads(msgspec.json.encode(state)) == {
        "station": "CS/1", "operator": "default", "online": True, "at": "2026-05-04T12:00:09Z",
        "connected_at": "2026-05-04T12:00:00Z", "version": "1.6",
        "connectors": [
            {"evse_id": 1, "connector_id": 1, "status": "occupied", "reported_at": "2026-05-04T12:00:00Z",
             "detail": "Charging"},
            {"evse_id": 2, "connector_id": 1, "status": "available", "reported_at": "2026-05-04T12:00:00Z"},
        ],
        "sessions": [
            {"id": 70, "transaction_id": "5", "phase": "charging", "started_at": "2026-05-04T12:00:00Z",
             "energy_wh": 250.5, "evse_id": 1, "connector_id": 1, "power_w": 11000.0, "soc": 40.0},
        ],
    }  # fmt: skip


async def test_state_of_a_station_that_is_gone_says_so(database: Database, station: Station) -> None:
    unit = Unit(station, NOW)
    unit.connection = NOW
    await database.writer.commit(unit)
    [state] = await StationStates(database).of([StationKey("default", "CS/1")], NOW)
    assert not state.online
    assert state.connected_at is None


async def test_operators_are_kept_apart(database: Database, station: Station) -> None:
    [state] = await StationStates(database).of([StationKey("other", "CS/1")], NOW)
    assert (state.operator, state.sessions, state.connectors) == ("other", (), ())


async def test_unknown_station_has_no_state(database: Database, station: Station) -> None:
    assert await StationStates(database).of([StationKey("default", "nobody")], NOW) == []
