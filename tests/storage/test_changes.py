"""What answers changed is kept, each kind by its rule."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from csms.domain.asked import (
    Forgotten,
    ListInstalled,
    ProfileInstalled,
    ProfilesCleared,
    ReportExpected,
    ReservationMade,
)
from csms.domain.unit import Reported, ReservationMoved
from csms.storage.changes import keep, next_list_version
from tests.conftest import NOW

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def kept(database, station):
    async def keep_all(*changes, station_id=station.id):
        await database.writer.run(lambda connection: keep(connection, station_id, changes, NOW))

    return keep_all


def profile(id: int, *, level: int = 0, evse: int = 1, purpose: str = "TxDefaultProfile") -> ProfileInstalled:
    return ProfileInstalled(profile_id=id, evse_id=evse, purpose=purpose, stack_level=level, profile={"id": id})


async def test_reservation_lives_until_it_is_moved_and_is_replaced_by_its_number(kept, rows):
    made = ReservationMade(reservation_id=1, status="accepted", token="T", expires_at=LATER, evse_id=2)
    await kept(made, ReservationMoved(1, "used", 9), ReservationMoved(2, "used", 9))
    assert await rows("SELECT reservation_id, status, session_id FROM reservations") == [(1, "used", 9)]
    await kept(made)
    assert await rows("SELECT reservation_id, status, session_id FROM reservations") == [(1, "accepted", None)]


async def test_profile_replaces_its_id_and_its_like(kept, rows):
    await kept(profile(1), profile(2, level=1), profile(3, evse=0), profile(4), profile(2, level=2))
    found = await rows("SELECT profile_id, stack_level FROM charging_profiles ORDER BY 1")
    assert found == [(2, 2), (3, 0), (4, 0)]


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({}, []), ({"profile_id": 1}, [2, 3]), ({"evse_id": 0}, [1, 2]), ({"purpose": "TxProfile"}, [1, 3]),
        ({"stack_level": 0, "evse_id": 1}, [2, 3]), ({"profile_id": 1, "evse_id": 0}, [1, 2, 3]),
    ],
)  # fmt: skip
async def test_profiles_that_match_all_criteria_are_cleared(kept, rows, criteria, left):
    await kept(profile(1), profile(2, level=1, purpose="TxProfile"), profile(3, evse=0), ProfilesCleared(**criteria))
    assert [row[0] for row in await rows("SELECT profile_id FROM charging_profiles ORDER BY 1")] == left


async def test_local_list_is_replaced_or_changed_entry_by_entry(kept, rows, database, station):
    await kept(ListInstalled(version=1, full=True, entries={"a": {"x": 1}, "b": {"x": 2}}))
    await kept(ListInstalled(version=2, full=False, entries={"a": None, "c": {"x": 3}, "d": None}))
    ((version, entries),) = await rows("SELECT version, entries FROM local_lists")
    assert (version, json.loads(entries)) == (2, {"b": {"x": 2}, "c": {"x": 3}})
    await kept(ListInstalled(version=3, full=True, entries={}))
    assert await rows("SELECT version, entries FROM local_lists") == [(3, "{}")]
    await kept(Reported("local_list", "version", b"7"))
    assert await database.writer.run(lambda connection: next_list_version(connection, station.id)) == 8
    await kept(Reported("local_list", "version", b"-1"))
    assert await database.writer.run(lambda connection: next_list_version(connection, station.id)) == 4


async def test_other_stations_keep_theirs(kept, rows):
    await kept(profile(1))
    await kept(ProfilesCleared(), station_id=2)
    assert len(await rows("SELECT * FROM charging_profiles")) == 1


async def test_what_holds_no_longer_is_forgotten_by_its_name(kept, rows):
    for key in ("1%2|A", "1%2|B", "1x2|A"):
        await kept(Reported("certificate", key, b"{}"))
    left = "SELECT key FROM reported ORDER BY 1"
    await kept(Forgotten("certificate"), station_id=2)
    await kept(Forgotten("certificate", prefix="1%2", suffix="|A"))
    assert await rows(left) == [("1%2|B",), ("1x2|A",)], "a character with a meaning in patterns is a character"
    await kept(Forgotten("monitor"))
    assert len(await rows(left)) == 2
    await kept(Forgotten("certificate"))
    assert await rows(left) == []


async def test_promised_report_does_not_undo_the_parts_that_are_here(kept, rows):
    await kept(Reported("report", "variables:1", b'{"at":"2026-05-04T12:00:00Z","seen":[[0,0]],"last":0}'))
    await kept(ReportExpected("variables", 1), ReportExpected("variables", 2))
    (here, promised) = [json.loads(data) for (data,) in await rows("SELECT data FROM reported ORDER BY key")]
    assert here["last"] == 0
    assert list(promised) == ["at"]
