"""The writer: many units in one commit, none harmed by another, and patience while the disk cannot."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event

import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from csms.domain.events import StationDisconnected
from csms.domain.ports import StorageUnavailable
from csms.domain.sessions import closed
from csms.domain.stations import Station
from csms.storage import admin, sqlite
from csms.storage.database import Database
from csms.storage.sqlite import SqliteWriter
from tests.conftest import NOW
from tests.storage.conftest import after, free, session, unit_of

ENGINES = ("sqlite",)


@pytest.fixture
def writer(database: Database) -> SqliteWriter:
    return database.writer


@pytest.fixture
def impatient(writer: SqliteWriter) -> SqliteWriter:
    writer._patience = 0.0
    return writer


@pytest.fixture
async def lock(database: Database, writer: SqliteWriter):
    """Another program that holds the database until it is told to let go; the writer notices at once."""
    await writer.run(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=0"))
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield lambda: other.execute("ROLLBACK")


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def hold(writer: SqliteWriter) -> Event:
    """Keep the writer busy with a job until the event is set, so that work gathers behind it."""
    go = Event()
    writer.run(lambda connection: go.wait(5))
    return go


async def test_what_gathers_while_the_writer_is_busy_is_one_commit(writer, station, monkeypatch):
    together: list[int] = []
    steps = sqlite._steps
    monkeypatch.setattr(sqlite, "_steps", lambda units: together.append(len(units)) or steps(units))
    go = hold(writer)
    commits = [writer.commit(unit_of(station, session(number))) for number in range(1, 50)]
    go.set()
    await asyncio.gather(*commits)
    assert together == [49]


async def test_listener_hears_of_commits_with_events_only(writer, station):
    heard = asyncio.Event()
    writer.on_commit = heard.set
    await writer.commit(unit_of(station, session(1)))
    heard.clear()  # Of what was done before.
    await writer.commit(unit_of(station, session(2)))
    await writer.commit(unit_of(station, session(3)))
    assert not heard.is_set()
    await writer.commit(unit_of(station, events=[StationDisconnected(at=NOW, reason="test")]))
    async with asyncio.timeout(5):
        await heard.wait()


async def test_one_commit_is_bounded(writer, station, monkeypatch, rows):
    monkeypatch.setattr(sqlite, "_MOST_UNITS", 3)
    go = hold(writer)
    commits = [writer.commit(unit_of(station, session(number))) for number in range(1, 9)]
    go.set()
    await asyncio.gather(*commits)
    assert await rows("SELECT count(*) FROM sessions") == [(8,)]


async def test_units_and_jobs_keep_their_order(writer, station):
    first = writer.commit(unit_of(station, session(1)))
    count = writer.run(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar())
    last = writer.commit(unit_of(station, session(2)))
    await asyncio.gather(first, last)
    assert await count == 1


@pytest.mark.parametrize("count", [1, 2, 5, 17, 64, 65, 200])
async def test_any_number_of_rows_is_inserted_updated_and_upserted(writer, station, rows, count):
    begun = [session(number) for number in range(1, count + 1)]
    events = [StationDisconnected(at=NOW, reason="test")]
    await writer.commit(unit_of(station, *begun, connectors=[free(number) for number in range(count)], events=events))
    ended = [closed(one, after(number), "Local") for number, one in enumerate(begun)]
    faulted = [free(number, status="faulted") for number in range(count)]
    await writer.commit(unit_of(station, changed=ended, connectors=faulted))
    assert await rows("SELECT count(*), count(ended_at), count(DISTINCT ended_at) FROM sessions") == [(count,) * 3]
    assert await rows("SELECT status, count(*) FROM connectors GROUP BY 1") == [("faulted", count)]
    assert len(await rows("SELECT * FROM outbox")) == 1


async def test_of_several_changes_in_one_commit_the_last_counts(writer, station, rows):
    go = hold(writer)
    commits = [writer.commit(unit_of(station, session(1)))]
    for soc in (10.0, 20.0, 30.0):
        commits.append(writer.commit(unit_of(station, changed=[msgspec.structs.replace(session(1), soc=soc)])))
    go.set()
    await asyncio.gather(*commits)
    assert await rows("SELECT soc FROM sessions") == [(30.0,)]


@pytest.mark.parametrize(
    "poison",
    [
        session(1),
        session(77, start_key="key-1"),
        session(77, reservation_id=2**70),
        session(77, token=object()),
        session(77, token="\ud800"),
    ],
    ids=["same id", "same start", "huge number", "no text", "no unicode"],
)
async def test_bad_unit_never_fails_its_neighbours(impatient, station, rows, poison):
    await impatient.commit(unit_of(station, session(1)))
    go = hold(impatient)
    commits = [impatient.commit(unit_of(station, one)) for one in (session(2), poison, session(3))]
    go.set()
    before, bad, after = await asyncio.gather(*commits, return_exceptions=True)
    assert (before, after) == (None, None)
    assert isinstance(bad, Exception) and not isinstance(bad, StorageUnavailable)
    assert impatient.failing is False
    assert await rows("SELECT id FROM sessions ORDER BY id") == [(1,), (2,), (3,)]


async def test_unit_of_a_station_that_was_deleted_is_refused(writer, station):
    with pytest.raises(sqlite3.IntegrityError):
        await writer.commit(unit_of(Station(99, 1, "default", "CS-99"), session(1)))


async def test_locked_database_is_waited_for(writer, station, lock):
    writer._patience = 5.0
    with capture_logs() as logs:
        commit = writer.commit(unit_of(station, session(1)))
        await until(lambda: writer.failing)
        lock()
        await commit
    assert writer.failing is False
    assert [line["event"] for line in logs] == ["storage.failing", "storage.recovered"]
    assert "remedy" in logs[0]


async def test_patience_has_an_end_and_nothing_was_kept(writer, station, lock, rows):
    writer._patience = 0.03
    with pytest.raises(StorageUnavailable, match="locked"):
        await writer.commit(unit_of(station, session(1)))
    assert writer.failing
    with pytest.raises(StorageUnavailable):
        await writer.commit(unit_of(station, session(2)))
    lock()
    await writer.commit(unit_of(station, session(3)))
    assert writer.failing is False
    assert await rows("SELECT id FROM sessions") == [(3,)]


async def test_recovery_is_noticed_though_nobody_writes(impatient, station, lock, monkeypatch):
    """D5, D6: while it fails no station is let in, so none would ever write again."""
    monkeypatch.setattr(sqlite, "_PROBE", 0.01)
    with pytest.raises(StorageUnavailable):
        await impatient.commit(unit_of(station, session(1)))
    await asyncio.sleep(0.03)
    assert impatient.failing
    lock()
    await until(lambda: not impatient.failing)


async def test_full_disk_is_said_and_survived(impatient, station, rows):
    pages = await impatient.run(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())
    await impatient.run(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar())
    bulky = session(1, token="x" * 100_000)
    with pytest.raises(StorageUnavailable, match="full"):
        await impatient.commit(unit_of(station, bulky))
    assert await rows("SELECT count(*) FROM sessions") == [(0,)]
    await impatient.run(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1000000").scalar())
    await impatient.commit(unit_of(station, bulky))
    assert await rows("PRAGMA integrity_check") == [("ok",)]


async def test_job_is_rolled_back_when_it_raises(writer, station, rows):
    def job(connection: sa.Connection) -> None:
        connection.exec_driver_sql("DELETE FROM stations")
        raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        await writer.run(job)
    assert await rows("SELECT identity FROM stations") == [("CS-1",)]


async def test_job_on_a_locked_database_is_unavailable(writer, lock):
    with pytest.raises(StorageUnavailable, match="locked"):
        await writer.run(admin.ensure_operator("other"))


async def test_job_that_ended_its_own_transaction_may_still_raise(writer):
    def job(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        raise ValueError("done")

    with pytest.raises(ValueError, match="done"):
        await writer.run(job)
    assert await writer.run(lambda connection: 1) == 1


async def test_who_stopped_waiting_disturbs_nobody(writer, station):
    go = hold(writer)
    gone, waiting = writer.commit(unit_of(station, session(1))), writer.commit(unit_of(station, session(2)))
    gone.cancel()
    go.set()
    await waiting


async def test_closing_finishes_what_waits_and_takes_nothing_new(migrated: Path, tmp_path: Path):
    writer = SqliteWriter(str(tmp_path / "new.db"), synchronous="OFF")
    go = hold(writer)
    waiting = writer.run(lambda connection: "done")
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable, match="stopping"):
        await writer.run(lambda connection: None)
    go.set()
    await closing
    assert await waiting == "done"


async def test_closing_at_the_last_moment_forgets_nothing(tmp_path: Path):
    writer = SqliteWriter(str(tmp_path / "new.db"), synchronous="OFF")
    first = writer.run(lambda connection: "first")
    first.add_done_callback(lambda _: writer.run(lambda connection: "refused").exception())
    second = writer.run(lambda connection: "second")
    await writer.close()
    assert (first.result(), second.result()) == ("first", "second")


async def test_unit_that_fits_in_no_row_never_fails_its_neighbours(writer, station, rows):
    go = hold(writer)
    naive = session(2, started_at=NOW.replace(tzinfo=None))
    commits = [writer.commit(unit_of(station, one)) for one in (session(1), naive, session(3))]
    go.set()
    before, bad, after = await asyncio.gather(*commits, return_exceptions=True)
    assert (before, after) == (None, None)
    assert isinstance(bad, TypeError)
    assert await rows("SELECT id FROM sessions ORDER BY id") == [(1,), (3,)]


async def test_stopping_does_not_wait_out_the_patience(database, writer, station, lock):
    writer._patience = 60.0
    commit = writer.commit(unit_of(station, session(1)))
    await until(lambda: writer.failing)
    await writer.close()
    with pytest.raises(StorageUnavailable):
        await commit


async def test_file_that_cannot_be_opened_is_unavailable(tmp_path: Path):
    writer = SqliteWriter(str(tmp_path / "missing" / "csms.db"), patience=0.0)
    with pytest.raises(StorageUnavailable, match="unable to open"):
        await writer.run(lambda connection: None)
    with pytest.raises(StorageUnavailable, match="unable to open"):
        await writer.commit(unit_of(Station(1, 1, "default", "CS-1"), session(1)))
    await writer.close()


@pytest.mark.parametrize("synchronous", ["FULL", "OFF"])
async def test_answers_mean_what_the_pragmas_promise(tmp_path: Path, synchronous):
    """G1: FULL syncs every commit; WAL lets readers read meanwhile."""
    writer = SqliteWriter(str(tmp_path / "new.db"), synchronous=synchronous)
    pragma = lambda name: writer.run(lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar())  # noqa: E731
    assert await pragma("journal_mode") == "wal"
    assert await pragma("synchronous") == {"FULL": 2, "OFF": 0}[synchronous]
    assert await pragma("foreign_keys") == 1
    await writer.close()
