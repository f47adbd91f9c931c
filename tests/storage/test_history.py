"""Each change of a status is on record, on both engines: those of one station are found, newest first, wherever they lie."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.storage import admin, upkeep
from csms.storage.listings import STATUS_HISTORY
from csms.storage.paging import Paging
from csms.storage.queries import Queries
from csms.storage.records import open_records
from csms.storage.upkeep import Keep, Upkeep
from tests.conftest import NOW
from tests.storage.conftest import after, free, unit_of

DAY = timedelta(days=1)


def changed(station: Station, minutes: float, status: str, **fields) -> Unit:
    """A connector changed its status so many minutes after NOW; we heard of it ten seconds later."""
    unit = Unit(station, after(minutes) + timedelta(seconds=10))
    unit.connectors.append(free(fields.pop("evse_id", 1), status=status, reported_at=after(minutes), **fields))
    return unit


@pytest.fixture
def history(database):
    """What is on record of station 1, newest first."""

    async def history(paging: Paging = Paging(), **filters) -> list[tuple]:  # noqa: B008
        found = await Queries(database.reader).page(STATUS_HISTORY, paging, **{"station": 1} | filters)
        return [(row["status"], row["reported_at"]) for row in found.rows]

    return history


async def test_every_change_is_kept_with_the_stations_words_and_both_times(database, station):
    said = {"detail": "Faulted", "error_code": "GroundFailure", "error_info": "leak", "vendor_error_code": "E7"}
    await database.writer.commit(changed(station, 0, "faulted", **said))
    (row,) = (await Queries(database.reader).page(STATUS_HISTORY, station=1)).rows
    assert dict(row) | said == dict(row)
    assert (row["evse_id"], row["connector_id"], row["status"]) == (1, 1, "faulted")
    assert (row["reported_at"], row["received_at"]) == (NOW, NOW + timedelta(seconds=10))


async def test_changes_committed_together_are_all_kept_and_the_latest_holds(database, station, history, rows):
    units = [changed(station, minute, status) for minute, status in enumerate(("occupied", "faulted", "available"))]
    for future in [database.writer.commit(unit) for unit in units]:
        await future
    assert await history() == [("available", after(2)), ("faulted", after(1)), ("occupied", after(0))]
    assert await rows("SELECT status FROM connectors") == [("available",)]


async def test_coming_and_going_of_a_station_is_on_record(database, station, history):
    await database.writer.commit(unit_of(station, connection=("1.6", NOW)))
    gone = Unit(station, after(5))
    gone.connection = after(5)
    await database.writer.commit(gone)
    assert await history() == [("offline", after(5)), ("online", NOW)]
    (row, _) = (await Queries(database.reader).page(STATUS_HISTORY, station=1)).rows
    assert (row["evse_id"], row["connector_id"]) == (None, None)


async def test_what_concerns_no_status_leaves_nothing(database, station, history):
    await database.writer.commit(unit_of(station, registration="accepted", next_transaction=2))
    assert await history() == []


async def test_a_period_a_place_and_a_status_are_found(database, station, history):
    await database.writer.commit(changed(station, 0, "occupied"))
    await database.writer.commit(changed(station, 10, "faulted", evse_id=2))
    await database.writer.commit(changed(station, 20, "available"))
    await database.writer.run(admin.put_station(station.operator_id, "CS-2", {}, NOW))
    await database.writer.commit(changed(Station(2, station.operator_id, "default", "CS-2"), 12, "reserved"))
    assert await history(since=after(5), until=after(15)) == [("faulted", after(10))]
    assert [status for status, _ in await history(evse=1)] == ["available", "occupied"]
    assert [status for status, _ in await history(status="faulted")] == ["faulted"]
    assert await history(station=2) == [("reserved", after(12))]


async def test_history_is_read_on_where_it_was_left_while_it_is_filed(database, station):
    """On SQLite upkeep moves changes to another table: no page repeats or hides one."""
    for minute in range(6):
        await database.writer.commit(changed(station, minute, "occupied"))
    queries, seen, cursor = Queries(database.reader), [], None
    while True:
        page = await queries.page(STATUS_HISTORY, Paging(2, cursor), station=1)
        seen += [row["reported_at"] for row in page.rows]
        await Upkeep(database, Keep(), lambda: NOW).once()
        if (cursor := page.next) is None:
            break
    assert seen == [after(minute) for minute in reversed(range(6))]


async def test_what_was_filed_and_what_is_new_are_one_history(database, station, history, monkeypatch):
    monkeypatch.setattr(upkeep, "_SLICE", 2)
    for minute in range(5):
        await database.writer.commit(changed(station, minute, "occupied"))
    await Upkeep(database, Keep(), lambda: NOW).once()
    await database.writer.commit(changed(station, 5, "available"))
    whole = [("available", after(5)), *(("occupied", after(minute)) for minute in (4, 3, 2, 1, 0))]
    assert await history() == whole
    assert await history(Paging(100, sort="received_at")) == whole[::-1]


async def test_old_changes_go(database, station, history):
    later = datetime.now(NOW.tzinfo) + 500 * DAY
    await database.writer.commit(changed(station, 0, "occupied"))
    await Upkeep(database, Keep(status=DAY), lambda: NOW + DAY / 2).once()
    assert len(await history()) == 1, "young ones stay"
    await Upkeep(database, Keep(status=30 * DAY), lambda: later).once()
    assert await history() == []


async def test_stations_of_a_server_that_was_killed_are_offline_from_its_next_start(database, station, history):
    """On PostgreSQL another node says so, while it lives (`test_nodes`)."""
    await database.writer.commit(unit_of(station, connection=("1.6", NOW)))
    await open_records(database, after(60))
    await open_records(database, after(90))
    alone = database.reader.dialect.name == "sqlite"
    assert await history() == ([("offline", after(60))] if alone else []) + [("online", NOW)]
