"""Memory records: a disk that waits and fails when a test says so. Their promises are tested beside the real ones."""

from __future__ import annotations

import asyncio

import pytest

from csms.domain.events import StationConnected
from csms.domain.ports import StorageUnavailable
from csms.domain.sessions import BEGIN, Reading, Sample
from csms.domain.stations import Station
from csms.domain.tokens import Token
from csms.domain.unit import Metered, Unit, Unmatched
from csms.storage.memory import Duplicate, MemoryRecords
from tests.conftest import NOW
from tests.storage.conftest import free, session, unit_of


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()


@pytest.fixture
async def station(records) -> Station:
    return await records.station(records.add_station("CS-1"))


async def test_commit_is_kept_on_the_next_turn(records, station):
    commit = records.commit(unit_of(station, session(1), connectors=[free(1)]))
    assert not records.sessions
    await commit
    assert (records.commits, len(records.sessions), len(records.connectors[1])) == (1, 1, 1)


async def test_everything_a_unit_holds_is_kept(records, station):
    reading = Reading(NOW, (Sample(1.0),), 1.0, place=BEGIN)
    lost = Unmatched("StopTransaction", b"{}", "unknown")
    event = StationConnected(at=NOW, version="1.6")
    unit = unit_of(station, session(1), metered=[Metered(1, 1, 1, [reading])], unmatched=[lost], events=[event])
    unit.connection, unit.registration, unit.next_transaction = ("1.6", NOW), "accepted", 4
    await records.commit(unit)
    assert (records.samples, records.unmatched, records.events) == ([(1, 1, reading)], [lost], [event])
    assert records.online == {1: True}
    again = await records.station(await records.known("default", "CS-1"))
    assert (again.registration, again.next_transaction, [*again.sessions]) == ("accepted", 4, [1])
    assert await records.session_by_start(1, "key-1") == await records.session_by_transaction(1, "1") == session(1)
    gone = unit_of(station, connection=NOW)
    await records.commit(gone)
    assert records.online == {1: False}


async def test_readings_and_tokens_are_found(records, station):
    records.add_token(1, Token("TAG"))
    assert await records.token(1, "tag") == Token("TAG")
    assert await records.has_reading(1, 0, b"[]") is False


async def test_held_commits_wait_until_they_are_released(records, station):
    records.hold()
    first, second = records.commit(unit_of(station, session(1))), records.commit(unit_of(station, session(2)))
    await asyncio.sleep(0)
    assert records.held == 2 and not first.done() and not second.done()
    first.cancel()
    records.release()
    await second
    assert [*records.sessions] == [2], "what was cancelled is not kept"
    assert records.held == 0


async def test_fault_fails_the_units_it_chooses(records, station):
    def full(unit: Unit) -> Exception | None:
        return StorageUnavailable("full") if unit.opened else None

    records.fault = full
    with pytest.raises(StorageUnavailable, match="full"):
        await records.commit(unit_of(station, session(1)))
    await records.commit(unit_of(station, connectors=[free(1)]))
    assert (records.sessions, records.commits) == ({}, 1)


async def test_session_is_kept_once(records, station):
    await records.commit(unit_of(station, session(1)))
    for again in (session(1), session(2, start_key="key-1")):
        with pytest.raises(Duplicate):
            await records.commit(unit_of(station, again))


async def test_unit_of_a_station_nobody_put_is_kept(records):
    await records.commit(unit_of(Station(9, 1, "default", "CS-9"), session(1)))
    assert records.sessions[1][0] == 9


async def test_look_up_nobody_waits_for_any_more_is_let_go(records):
    found = records.known("default", "CS-1")
    found.cancel()
    await asyncio.sleep(0)
    assert found.cancelled()


def test_ids_rise(records):
    assert [records.next_session_id() for _ in range(3)] == [1, 2, 3]
