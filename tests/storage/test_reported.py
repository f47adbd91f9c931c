"""What stations report and notify: the latest of each name, and a log that only grows. On disk."""

from __future__ import annotations

import pytest

from csms.domain.unit import Noted, Reported
from csms.storage.records import open_records
from tests.conftest import NOW
from tests.storage.conftest import after, unit_of


async def test_newest_of_each_name_is_kept(database, station, rows):
    for value in (b"1", b"2"):
        said = [Reported("variable", "Meter/Power", value), Reported("monitor", "Meter/Power", b"0")]
        await database.writer.commit(unit_of(station, reported=said))
    assert await rows("SELECT kind, key, data FROM reported ORDER BY kind") == [
        ("monitor", "Meter/Power", "0"), ("variable", "Meter/Power", "2"),
    ]  # fmt: skip


async def test_newest_in_one_unit_counts(database, station, rows):
    said = [Reported("variable", "V", b"1"), Reported("variable", "V", b"2")]
    await database.writer.commit(unit_of(station, reported=said))
    assert await rows("SELECT data FROM reported") == [("2",)]


async def test_log_only_grows(database, station, rows):
    note = Noted(after(-1), "event", 5, "Meter/Power", "6", b"{}")
    for _ in range(2):
        await database.writer.commit(unit_of(station, noted=[note]))
    assert (
        await rows("SELECT kind, severity, code, text, received_at - at FROM station_log")
        == [("event", 5, "Meter/Power", "6", 60_000_000)] * 2
    )


@pytest.mark.parametrize(
    ("kind", "keys", "found"),
    [
        ("variable", ["V", "W"], {"V": b"1"}),
        ("variable", [], {}),
        ("monitor", ["V"], {}),
    ],
)
async def test_what_was_reported_is_found_by_its_name(database, station, kind, keys, found):
    records = await open_records(database, NOW)
    await records.commit(unit_of(station, reported=[Reported("variable", "V", b"1")]))
    assert await records.reported(station.id, kind, keys) == found
    assert await records.reported(station.id + 1, kind, keys) == {}


async def test_what_was_noted_is_found_by_its_moment(database, station):
    records = await open_records(database, NOW)
    for minute in range(3):
        note = Noted(after(-minute), "event", 5, "Meter/Power", "6", b'{"minute":%d}' % minute)
        await records.commit(unit_of(station, noted=[note]))
    assert await records.noted(station.id, {after(0), after(-2), after(7)}) == {b'{"minute":0}', b'{"minute":2}'}
    assert await records.noted(station.id + 1, {after(0)}) == await records.noted(station.id, set()) == set()
