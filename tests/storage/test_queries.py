"""Read models: what is listed, in which order, and page after page while others write."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from csms.domain.sessions import Reading, Sample
from csms.domain.stations import Connector, Station
from csms.domain.unit import Metered
from csms.storage import admin
from csms.storage.listings import SAMPLES, SESSIONS, STATIONS, TOKENS
from csms.storage.paging import Paging
from csms.storage.queries import Queries
from tests.conftest import NOW
from tests.storage.conftest import after, free, session, unit_of


@pytest.fixture
def queries(database, station) -> Queries:
    return Queries(database.reader)


async def add_stations(database, *identities: str, operator: str = "default") -> None:
    operator_id = await database.writer.run(admin.ensure_operator(operator))
    await database.writer.run(admin.put_stations(operator_id, [(identity, {}) for identity in identities], NOW))


async def add_sessions(database, station: Station, *found) -> None:
    await database.writer.commit(unit_of(station, *found))


# Stations


async def test_stations_are_listed_in_the_order_of_their_making(database, queries):
    await add_stations(database, "B", "A")
    rows, cursor, _ = await queries.page(STATIONS)
    assert [row["id"] for row in rows] == ["CS-1", "B", "A"]
    assert cursor is None


async def test_stations_of_one_operator(database, queries):
    await add_stations(database, "CS-1", operator="other")
    rows = (await queries.page(STATIONS, operator="other")).rows
    assert [(row["operator"], row["id"]) for row in rows] == [("other", "CS-1")]
    assert (await queries.page(STATIONS, operator="nobody")).rows == []


async def test_stations_by_connection(database, queries, station):
    await add_stations(database, "CS-2")
    await database.writer.commit(unit_of(station, connection=("1.6", NOW)))
    assert [row["id"] for row in (await queries.page(STATIONS, online=True)).rows] == ["CS-1"]
    assert [row["id"] for row in (await queries.page(STATIONS, online=False)).rows] == ["CS-2"]
    row = await queries.station("default", "CS-1")
    assert (row["version"], row["connected_at"], row["last_seen_at"]) == ("1.6", NOW, NOW)


async def test_pages_of_stations_meet_though_some_are_added_meanwhile(database, queries):
    await add_stations(database, "B", "C")
    first, cursor, _ = await queries.page(STATIONS, Paging(2))
    await add_stations(database, "D")
    second, end, _ = await queries.page(STATIONS, Paging(2, cursor))
    assert [row["id"] for row in first + second] == ["CS-1", "B", "C", "D"]
    assert end is None


async def test_station_is_found_by_operator_and_identity(queries):
    assert (await queries.station("default", "CS-1"))["has_password"] is False
    assert await queries.station("default", "cs-1") is None
    assert await queries.station("other", "CS-1") is None


async def test_connectors_are_sorted(database, queries, station):
    places = [free(2), Connector(1, 2, "faulted", NOW, error_code="X"), free(1)]
    await database.writer.commit(unit_of(station, connectors=places))
    found = await queries.connectors(1)
    assert [(row["evse_id"], row["connector_id"], row["error_code"]) for row in found] == [
        (1, 1, None), (1, 2, "X"), (2, 1, None),
    ]  # fmt: skip


# Sessions


async def test_sessions_are_listed_newest_first(database, queries, station):
    early, late, same = session(1), session(2, started_at=after(5)), session(3)
    await add_sessions(database, station, early, late, same)
    rows = (await queries.page(SESSIONS)).rows
    assert [row["id"] for row in rows] == [2, 3, 1]


async def test_sessions_are_filtered(database, queries, station):
    closed = session(2, ended_at=after(9), token="TAG", flags=("estimated",), phase="ended")
    await add_sessions(database, station, session(1), closed)

    async def ids(**filters) -> list[int]:
        return [row["id"] for row in (await queries.page(SESSIONS, **filters)).rows]

    assert await ids(active=True) == [1]
    assert await ids(active=False) == [2]
    assert await ids(token="TAG") == [2]
    assert await ids(station="CS-1") == [2, 1]
    assert await ids(station="CS-2") == []
    assert await ids(operator="default") == [2, 1]
    assert await ids(operator="other") == []
    found = await queries.session(2)
    assert (found["flags"], found["operator"], found["station_id"]) == (["estimated"], "default", "CS-1")
    assert await queries.session(3) is None


async def test_pages_of_sessions_meet_though_newer_ones_begin_meanwhile(database, queries, station):
    await add_sessions(database, station, *[session(id) for id in (1, 2, 3, 4)])
    first, cursor, _ = await queries.page(SESSIONS, Paging(2))
    await add_sessions(database, station, session(5, started_at=after(1)), session(6, started_at=after(-1)))
    second, end, _ = await queries.page(SESSIONS, Paging(3, cursor))
    assert [row["id"] for row in first + second] == [4, 3, 2, 1, 6]
    assert end is None


async def test_sessions_of_a_station_without_a_clock_can_be_paged(database, queries, station):
    long_ago = datetime(1969, 1, 1, tzinfo=UTC)
    await add_sessions(database, station, session(1, started_at=long_ago), session(2, started_at=long_ago))
    _, cursor, _ = await queries.page(SESSIONS, Paging(1))
    rows = (await queries.page(SESSIONS, Paging(1, cursor))).rows
    assert [row["id"] for row in rows] == [1]


async def test_samples_are_in_the_order_of_their_time(database, queries, station):
    later = Reading(after(2), (Sample("20"),), register_wh=20.0)
    sooner = Reading(after(1), (Sample("10", unit="Wh"),), register_wh=10.0)
    unit = unit_of(
        station, session(1), session(2), metered=[Metered(1, 1, 1, [later, sooner]), Metered(2, 1, 1, [later])]
    )
    await database.writer.commit(unit)
    rows = (await queries.page(SAMPLES, session=1)).rows
    assert [row["register_wh"] for row in rows] == [10.0, 20.0]
    assert rows[0]["readings"][0]["value"] == "10"


# Tokens and the rest


async def test_tokens_are_paged_and_found_in_any_case(database, queries):
    for value in ("b", "A", "C"):
        await database.writer.run(admin.put_token(1, value, {"status": "accepted"}, NOW))
    first, cursor, _ = await queries.page(TOKENS, Paging(2), "default")
    await database.writer.run(admin.put_token(1, "BB", {"status": "accepted"}, NOW))
    second, end, _ = await queries.page(TOKENS, Paging(2, cursor), "default")
    assert [row["value"] for row in first + second] == ["A", "b", "BB", "C"]
    assert end is None
    assert (await queries.token("default", "B"))["value"] == "b"
    assert await queries.token("other", "B") is None


async def test_totals_count_everything(database, queries, station):
    await add_stations(database, "CS-2")
    await add_sessions(database, station, session(1), session(2, ended_at=after(1)))
    await database.writer.commit(unit_of(station, connection=("1.6", NOW)))
    await database.writer.run(admin.put_token(1, "TAG", {"status": "accepted"}, NOW))
    assert await queries.totals() == {
        "operators": 1, "stations": 2, "stations_online": 1, "sessions": 2, "sessions_open": 1, "tokens": 1,
        "events_kept": 0,
    }  # fmt: skip
