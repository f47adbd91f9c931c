"""Read models: pages of what is there, newest or first first, and nothing of another operator."""

from __future__ import annotations

import pytest

from csms.domain.events import StationConnected
from csms.domain.sessions import Reading, Sample, closed
from csms.domain.stations import Station
from csms.domain.unit import Metered
from csms.storage import admin
from csms.storage.queries import BadCursor, Queries
from tests.conftest import NOW
from tests.storage.conftest import after, free, session, unit_of


@pytest.fixture
async def queries(database, station) -> Queries:
    """CS-1 … CS-3 of the default operator, the first one online; CS-1 of another."""
    for operator, identities in (("default", ("CS-2", "CS-3")), ("other", ("CS-1",))):
        operator_id = await database.writer.run(admin.ensure_operator(operator))
        for identity in identities:
            await database.writer.run(admin.put_station(operator_id, identity, {}, NOW))
    online = unit_of(station, connection=("1.6", NOW), events=[StationConnected(at=NOW, version="1.6")])
    await database.writer.commit(online)
    return Queries(database.reader)


async def pages(ask, **filters) -> list[list]:
    found, cursor = [], None
    while True:
        rows, cursor = await ask(limit=2, cursor=cursor, **filters)
        found.append(rows)
        if cursor is None:
            return found


async def test_stations_come_in_pages(queries):
    found = await pages(queries.stations)
    assert [[row["id"] for row in page] for page in found] == [["CS-1", "CS-2"], ["CS-3", "CS-1"]]


@pytest.mark.parametrize(
    ("filters", "count"), [({"operator": "default"}, 3), ({"online": True}, 1), ({"online": False}, 3)]
)
async def test_stations_are_filtered(queries, filters, count):
    assert len((await queries.stations(**filters))[0]) == count


async def test_one_station_is_found_within_its_operator(queries):
    assert (await queries.station("default", "CS-1"))["number"] == 1
    assert (await queries.station("other", "CS-1"))["number"] == 4
    assert await queries.station("other", "CS-2") is None
    assert await queries.operator_id("other") == 2
    assert await queries.operator_id("nobody") is None


async def test_connectors_come_in_their_order(queries, database, station):
    await database.writer.commit(unit_of(station, connectors=[free(2), free(1), free(0, connector_id=0)]))
    assert [(row["evse_id"], row["connector_id"]) for row in await queries.connectors(1)] == [(0, 0), (1, 1), (2, 1)]


async def test_sessions_come_newest_first_and_none_twice(queries, database, station):
    begun = [session(number, started_at=after(number // 2), token="T") for number in range(1, 6)]
    await database.writer.commit(unit_of(station, *begun, closed(session(9, flags=("refused",)), after(5), "Local")))
    await database.writer.commit(unit_of(Station(4, 2, "other", "CS-1"), session(10, started_at=after(99))))
    found = await pages(queries.sessions, operator="default")
    assert [row["id"] for page in found for row in page] == [5, 4, 3, 2, 9, 1]
    assert [row["id"] for row in (await queries.sessions(active=False))[0]] == [9]
    assert len((await queries.sessions(active=True, token="T", station="CS-1"))[0]) == 5
    assert (await queries.session(9))["flags"] == ["refused"]
    assert await queries.session(77) is None


async def test_samples_come_as_they_were_sent(queries, database, station):
    reading = Reading(after(1), (Sample(1.5),), 1.5)
    await database.writer.commit(unit_of(station, session(1), metered=[Metered(1, 1, 1, [reading])]))
    (row,) = await queries.samples(1)
    assert (row["sampled_at"], row["readings"]) == (after(1), [{"value": 1.5}])


async def test_tokens_come_in_pages_and_are_found_in_any_case(queries, database):
    for value in "aBc":
        await database.writer.run(admin.put_token(1, value, {"status": "accepted"}, NOW))
    assert [[row["value"] for row in page] for page in await pages(queries.tokens, operator="default")] == [["a", "B"], ["c"]]
    assert (await queries.token("default", "b"))["value"] == "B"
    assert await queries.token("other", "b") is None


async def test_totals_count_everything(queries, database, station):
    await database.writer.commit(unit_of(station, session(1), closed(session(2), after(1), "Local")))
    assert await queries.totals() == {
        "operators": 2, "stations": 4, "stations_online": 1, "sessions": 2, "sessions_open": 1, "tokens": 0,
        "events_kept": 1,
    }  # fmt: skip


@pytest.mark.parametrize("cursor", ["x", "1-x", ""])
async def test_cursor_nobody_gave_out_is_refused(queries, cursor):
    with pytest.raises(BadCursor, match="leave it away"):
        await queries.sessions(cursor=cursor)


async def test_text_in_a_filter_is_only_a_text(queries):
    assert (await queries.stations(operator="' OR 1=1 --"))[0] == []
