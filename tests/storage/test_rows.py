"""Rows: each part of a unit has its place, and rows that others refer to come first."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from csms.domain.events import StationConnected, StationDisconnected
from csms.domain.sessions import BEGIN, END, Mark, Reading, Sample, closed
from csms.domain.stations import Boot, Station
from csms.domain.unit import Metered, Noted, Reported, Unit, Unmatched
from csms.storage import rows as module
from csms.storage.rows import ORDER, mark_from, rows_of, session_from
from csms.storage.tables import from_us
from tests.conftest import NOW
from tests.storage.conftest import after, free, session, unit_of


@pytest.fixture
def station() -> Station:  # type: ignore[override]
    return Station(1, 1, "default", "CS-1")


def written(*units: Unit) -> dict[str, list[dict]]:
    """Rows by the name of their statement, as dictionaries."""
    names = {value: name for name, value in vars(module).items() if value in ORDER and name.isupper()}
    return {
        names[statement]: [dict(zip(statement.columns, row, strict=True)) for row in rows]
        for statement, rows in rows_of(units).items()
    }


def test_empty_unit_is_no_row(station):
    assert rows_of([unit_of(station)]) == {}


def test_sessions_come_before_what_refers_to_them(station):
    reading = Reading(NOW, (Sample(1.0),), 1.0)
    unit = unit_of(station, session(1), changed=[session(2)], metered=[Metered(1, 1, 1, [reading])])
    assert [*written(unit)] == ["INSERT_SESSION", "UPDATE_SESSION", "INSERT_SAMPLE"]


def test_rows_of_many_units_are_one_statement(station):
    assert len(written(unit_of(station, session(1)), unit_of(station, session(2)))["INSERT_SESSION"]) == 2


def test_session_row_has_its_energy_and_registers(station):
    running = session(
        1, first=Mark(BEGIN, NOW, 100.0), last=Mark(END, after(5), 350.0), flags=("refused",), seen=((0, 3),)
    )
    (row,) = written(unit_of(station, running))["INSERT_SESSION"]
    assert (row["meter_start_wh"], row["meter_stop_wh"], row["energy_wh"]) == (100.0, None, 250.0)
    assert (row["flags"], row["seen"], row["ended_at"]) == ('["refused"]', "[[0,3]]", None)
    (row,) = written(unit_of(station, changed=[closed(running, after(5), "Local")]))["UPDATE_SESSION"]
    assert (row["meter_stop_wh"], row["stop_reason"]) == (350.0, "Local")


def test_sample_row_has_the_values_as_sent(station):
    reading = Reading(after(1), (Sample("x", measurand="Voltage"), Sample(2.0)), 2.0, 7.0, 55.0)
    (row,) = written(unit_of(station, metered=[Metered(None, 1, 2, [reading])]))["INSERT_SAMPLE"]
    assert (row["session_id"], row["connector_id"]) == (None, 2)
    assert (row["register_wh"], row["power_w"], row["soc"]) == (2.0, 7.0, 55.0)
    assert msgspec.json.decode(row["readings"]) == [{"value": "x", "measurand": "Voltage"}, {"value": 2.0}]


def test_events_of_a_unit_are_one_row(station):
    events = [StationConnected(at=NOW, version="1.6"), StationDisconnected(at=NOW, reason="x")]
    (row,) = written(unit_of(station, events=events))["INSERT_EVENTS"]
    assert (row["operator"], row["station"]) == ("default", "CS-1")
    told = [event["type"] for event in msgspec.json.decode(row["events"])]
    assert told == ["station.connected", "station.disconnected"]


def test_boot_updates_the_station(station):
    unit = unit_of(station, booted=Boot("V", "M"), registration="pending")
    assert written(unit)["UPDATE_BOOT"][0]["registration"] == "pending"
    station.registration = "accepted"
    assert written(unit_of(station, booted=Boot("V", "M")))["UPDATE_BOOT"][0]["registration"] == "accepted"


def test_coming_and_going_update_the_station(station):
    came = written(unit_of(station, connection=("1.6", NOW)))
    assert [*came] == ["UPDATE_CONNECTED", "INSERT_CHANGE"] and came["UPDATE_CONNECTED"][0]["version"] == "1.6"
    gone = written(unit_of(station, connection=NOW))
    assert [*gone] == ["UPDATE_GONE", "INSERT_CHANGE"] and gone["UPDATE_GONE"][0]["connected_at"] is None
    assert [each["INSERT_CHANGE"][0]["status"] for each in (came, gone)] == ["online", "offline"]


def test_counter_connectors_and_unmatched_have_their_rows(station):
    lost = Unmatched("StopTransaction", b"\xff", "unknown")
    found = written(unit_of(station, connectors=[free(1)], unmatched=[lost], next_transaction=9))
    assert found["UPDATE_COUNTER"] == [{"id": 1, "next_transaction": 9}]
    assert found["UPSERT_CONNECTOR"][0]["status"] == found["INSERT_CHANGE"][0]["status"] == "available"
    assert found["INSERT_UNMATCHED"][0]["payload"] == "\ufffd"


def test_change_of_a_status_has_a_row_with_its_error_if_it_has_one(station):
    broken = free(2, status="faulted", detail="Faulted", error_code="GroundFailure", reported_at=after(-1))
    found = written(unit_of(station, connectors=[free(1), broken]))
    (change,), (fault,) = found["INSERT_CHANGE"], found["INSERT_FAULT"]
    assert (change["evse_id"], change["status"]) == (1, "available") and "error_code" not in change
    assert (fault["evse_id"], fault["detail"], fault["error_code"]) == (2, "Faulted", "GroundFailure")
    assert fault["received_at"] - fault["reported_at"] == 60_000_000


def test_session_is_read_back_from_its_row(station):
    whole = session(1, first=Mark(BEGIN, NOW, 1.5), seen=((0, 3),), flags=("refused",), token="TAG", end_seq=3)
    (row,) = written(unit_of(station, whole))["INSERT_SESSION"]
    times = {name: from_us(row[name]) for name in ("started_at", "received_at")}
    assert session_from(SimpleNamespace(**row | times)) == whole


def test_what_a_station_reports_has_its_rows(station):
    said = [Reported("variable", "Meter/Power", b'{"a":1}'), Reported("charging_limit", "0/EMS", b"null")]
    note = Noted(after(-1), "security", 3, "TamperDetectionActivated", "lid", b"{}")
    found = written(unit_of(station, reported=said, noted=[note]))
    assert [(row["kind"], row["key"], row["data"]) for row in found["UPSERT_REPORTED"]] == [
        ("variable", "Meter/Power", '{"a":1}'), ("charging_limit", "0/EMS", "null"),
    ]  # fmt: skip
    (row,) = found["INSERT_NOTED"]
    assert (row["station_id"], row["kind"], row["severity"], row["code"], row["text"]) == (
        1, "security", 3, "TamperDetectionActivated", "lid",
    )  # fmt: skip
    assert row["received_at"] - row["at"] == 60_000_000


def test_mark_that_is_none_stays_none():
    assert mark_from(None) is None
