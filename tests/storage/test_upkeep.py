"""What was recorded stays within its bounds, on both engines; nobody who writes waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import pytest
import sqlalchemy as sa

from csms.domain.sessions import Reading
from csms.domain.stations import Station
from csms.domain.unit import Metered, Noted, Unit, Unmatched
from csms.storage import partitions, upkeep
from csms.storage.database import Database, open_database
from csms.storage.tables import commands, to_us
from csms.storage.upkeep import Keep, Upkeep
from tests.conftest import NOW
from tests.postgres import database as fresh
from tests.storage.conftest import session, unit_of

DAY = timedelta(days=1)


def metered(station: Station, received: datetime, session_id: int | None, *minutes: float) -> Unit:
    """Readings so many minutes after `received`."""
    unit = Unit(station, received)
    readings = [Reading(at=received + timedelta(minutes=each), register_wh=1000.0, samples=[]) for each in minutes]
    unit.metered.append(Metered(session_id, 1, 1, readings))
    return unit


def tended(database: Database, now: datetime = NOW, **keep: timedelta) -> Upkeep:
    return Upkeep(database, Keep(**keep), lambda: now)


async def test_readings_are_thinned_to_the_first_of_five_minutes_once_they_are_old(database, station, rows):
    old, minutes = NOW - 8 * DAY, [number / 2 for number in range(20)]
    await database.writer.commit(unit_of(station, session(1), session(2)))
    for at in minutes:  # Every half minute for ten minutes; two sessions, and one place without.
        for id in (1, 2, None):
            await database.writer.commit(metered(station, old + timedelta(minutes=at), id, 0))
    await database.writer.commit(metered(station, NOW, 1, *minutes))
    await tended(database).once()
    kept = "SELECT count(*) FROM samples WHERE received_at < {} AND session_id {}"
    for id in ("= 1", "= 2", "IS NULL"):
        assert await rows(kept.format(to_us(NOW), id)) == [(2,)], "of ten minutes the first of each five"
    assert await rows(f"SELECT count(*) FROM samples WHERE received_at = {to_us(NOW)}") == [(20,)], "young ones stay"
    firsts = await rows(f"SELECT min(sampled_at) FROM samples WHERE received_at < {to_us(NOW)}")
    assert firsts == [(to_us(old),)]


async def test_readings_that_came_late_together_keep_one_of_each_five_minutes(database, station, rows):
    """A station that was offline sends an hour at once: it is thinned by when it measured."""
    await database.writer.commit(unit_of(station, session(1)))
    await database.writer.commit(metered(station, NOW - 8 * DAY, 1, *range(-60, 0)))
    await tended(database).once()
    assert await rows("SELECT count(*) FROM samples") == [(12,)]


async def test_thinning_goes_on_where_it_was_and_changes_nothing_twice(database, station, rows):
    await database.writer.commit(unit_of(station, session(1)))
    await database.writer.commit(metered(station, NOW - 8 * DAY, 1, 0, 1, 2))
    await database.writer.commit(metered(station, NOW - 6 * DAY, 1, 0, 1, 2))
    first = await tended(database).once()
    again = await tended(database).once()
    later = await tended(database, NOW + 3 * DAY).once()
    assert [done["samples_thinned"] for done in (first, again, later)] == [2, 0, 2]


async def test_thinning_passes_over_years_in_which_nothing_came(database, station, rows):
    """A window of five minutes at a time it would be at it for long."""
    await database.writer.commit(unit_of(station, session(1)))
    for years in (6, 1):
        await database.writer.commit(metered(station, NOW - years * 365 * DAY, 1, 0, 1))
    asked: list[str] = []
    sa.event.listen(database.reader.sync_engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    await tended(database, samples=9999 * DAY).once()
    assert await rows("SELECT count(*) FROM samples") == [(2,)]
    assert len(asked) < 5000


async def test_thinning_can_be_switched_off(database, station, rows):
    await database.writer.commit(metered(station, NOW - 8 * DAY, None, 0, 1, 2))
    await tended(database, thinned=timedelta(0)).once()
    assert await rows("SELECT count(*) FROM samples") == [(3,)]


async def test_old_readings_go_and_sessions_stay(database, station, rows):
    await database.writer.commit(unit_of(station, session(1)))
    await database.writer.commit(metered(station, NOW, 1, 0))
    await database.writer.commit(metered(station, NOW + 40 * DAY, 1, 0))
    # PostgreSQL drops whole days, the first of which reaches to the day after the installation at the latest.
    await tended(database, datetime.now(NOW.tzinfo) + 100 * DAY, samples=30 * DAY).once()
    left = await rows("SELECT count(*) FROM samples")
    assert left == [(0,)]
    assert await rows("SELECT count(*) FROM sessions") == [(1,)]


async def test_command_that_nobody_can_be_waiting_for_any_longer_ends_as_unknown(database, station, rows):
    """Its command line was killed, or it stood open before nodes kept errands."""
    for number, age in enumerate((timedelta(hours=23), timedelta(hours=25)), 1):
        fields = {
            "id": number, "operator_id": 1, "station_id": 1, "action": "Reset", "request": "{}", "status": "pending",
            "created_at": NOW - age,
        }  # fmt: skip
        await database.writer.run(
            lambda connection, fields=fields: connection.execute(sa.insert(commands).values(fields)) and None
        )
    assert (await tended(database).once())["commands_lost"] == 1
    assert await rows("SELECT status FROM commands ORDER BY id") == [("pending",), ("unknown",)]
    assert len(await rows("SELECT id FROM outbox WHERE events LIKE '%command.settled%'")) == 1
    assert (await tended(database).once())["commands_lost"] == 0


async def test_logs_and_commands_are_forgotten_in_small_portions(database, station, rows, monkeypatch):
    monkeypatch.setattr(upkeep, "_SLICE", 2)
    for days in (500, 450, 401, 399, 0):
        unit = Unit(station, NOW - days * DAY)
        unit.noted.append(Noted(unit.at, "event", 4, "code", None, b"{}"))
        unit.unmatched.append(Unmatched("MeterValues", b"{}", "test"))
        await database.writer.commit(unit)
        fields = {
            "id": 1000 - days, "operator_id": 1, "station_id": 1, "action": "Reset", "request": "{}",
            "status": "answered", "created_at": unit.at,
        }  # fmt: skip
        await database.writer.run(
            lambda connection, fields=fields: connection.execute(sa.insert(commands).values(fields)) and None
        )
    done = await tended(database).once()
    assert (done["station_log"], done["unmatched"], done["commands"]) == (3, 3, 3)
    for table in ("station_log", "unmatched", "commands"):
        assert await rows(f"SELECT count(*) FROM {table}") == [(2,)]


async def waited_for(rows, table: str | None) -> None:
    """Until somebody waits for a lock of a table (or of its partitions); None: for an advisory one."""
    kind = "locktype = 'advisory'" if table is None else f"relation::regclass::text LIKE '{table}%'"
    async with asyncio.timeout(10):
        while not await rows(f"SELECT 1 FROM pg_locks WHERE NOT granted AND {kind}"):
            await asyncio.sleep(0)


class TestPartitions:
    """Of PostgreSQL alone."""

    @pytest.fixture
    async def database(self, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
        """One of its own, whose partitions nobody else has made."""
        if request.param == "sqlite":
            pytest.skip("SQLite has no partitions")
        opened = await open_database(await fresh(request.getfixturevalue("postgres")), patience=0.5)
        yield opened
        await opened.close()

    async def test_they_are_made_ahead_and_take_what_comes(self, database, station, rows):
        now = datetime.now(NOW.tzinfo)
        assert (await tended(database, now).once())["partitions_made"] >= 5
        assert (await tended(database, now).once())["partitions_made"] == 0
        await database.writer.commit(metered(station, now + 5 * DAY, None, 0))
        (name,) = (await rows("SELECT tableoid::regclass::text FROM samples"))[0]
        assert name == f"samples_{now + 5 * DAY:%Y%m%d}"

    async def test_a_reading_of_any_time_finds_a_place(self, database, station, rows):
        """Nothing that is acknowledged waits for upkeep: a default partition takes it, the next made one gets it."""
        far = datetime.now(NOW.tzinfo) + 30 * DAY
        await database.writer.commit(metered(station, far, None, 0))
        assert await rows("SELECT tableoid::regclass::text FROM samples") == [("samples_default",)]
        await tended(database, far - 3 * DAY).once()
        assert await rows("SELECT tableoid::regclass::text FROM samples") == [(f"samples_{far:%Y%m%d}",)]

    async def test_what_is_under_way_while_a_partition_is_made_gets_into_it(self, database, station, rows, monkeypatch):
        """A row that was not kept yet when the first one is made, of the day that it is for."""
        monkeypatch.setattr(partitions, "_AT_ONCE", sa.text("SET LOCAL lock_timeout = '20s'"))
        now = datetime.now(NOW.tzinfo)
        other = await asyncpg.connect(str(database.writer._engine.url.render_as_string(False)).replace("+asyncpg", ""))
        async with other.transaction():
            await other.execute(
                "INSERT INTO status_changes (station_id, status, reported_at, received_at) VALUES (1, 'online', 1, $1)",
                to_us(now),
            )
            making = asyncio.create_task(tended(database, now).once())
            await waited_for(rows, "status_changes")
        await making
        await other.close()
        (name,) = (await rows("SELECT tableoid::regclass::text FROM status_changes"))[0]
        assert name == f"status_changes_{now:%Y%m%d}"

    async def test_unit_that_waits_while_partitions_are_made_is_kept(self, database, station, rows):
        now = datetime.now(NOW.tzinfo)
        other = await asyncpg.connect(str(database.writer._engine.url.render_as_string(False)).replace("+asyncpg", ""))
        await other.execute("SELECT pg_advisory_lock(42)")

        def made(connection: sa.Connection) -> None:
            partitions.make_ahead(connection, "status_changes", "received_at", now)
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(42)"))

        await database.writer.commit(Unit(station, now))  # Its connection is there.
        making = asyncio.create_task(database.upkeep(made))
        await waited_for(rows, None)
        unit = Unit(station, now)
        unit.connection = ("1.6", now)
        keeping = asyncio.ensure_future(database.writer.commit(unit))
        await waited_for(rows, "status_changes")
        await other.execute("SELECT pg_advisory_unlock(42)")
        await asyncio.gather(making, keeping)
        await other.close()
        assert await rows("SELECT status FROM status_changes") == [("online",)]

    async def test_one_that_is_locked_is_left_for_the_next_time(self, database, station, rows):
        now = datetime.now(NOW.tzinfo)
        async with database.reader.connect() as reader:
            await reader.exec_driver_sql("BEGIN")
            await reader.exec_driver_sql("SELECT count(*) FROM samples")
            with pytest.raises(sa.exc.DBAPIError, match="lock timeout"):
                await tended(database, now + 100 * DAY, samples=DAY).once()
            await database.writer.commit(metered(station, now, None, 0))
            await reader.exec_driver_sql("ROLLBACK")
        assert (await tended(database, now + 100 * DAY, samples=DAY).once())["partitions_dropped"] >= 1

    async def test_sessions_are_never_partitioned(self, database, rows):
        found = await rows("SELECT relname FROM pg_class WHERE relkind = 'p'")
        assert sorted(found) == [("samples",), ("status_changes",)]
        assert await database.upkeep(lambda connection: partitions.partitions(connection, "sessions")) == []
