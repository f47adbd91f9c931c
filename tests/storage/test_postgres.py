"""The writer to PostgreSQL: what others do to the same rows, to its connection and to its server meanwhile."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from csms.domain.events import StationDisconnected
from csms.domain.ports import StorageUnavailable
from csms.storage import admin, postgres
from csms.storage.database import Database, DatabaseError, open_database
from csms.storage.listings import STATIONS
from csms.storage.outbox import Outbox
from csms.storage.postgres import PostgresWriter
from csms.storage.postgres_database import migrate_postgres
from csms.storage.queries import Queries
from csms.storage.records import open_records
from csms.storage.tables import counters
from tests.conftest import NOW
from tests.postgres import database as fresh
from tests.postgres import name_of
from tests.storage.conftest import free, session, unit_of

ENGINES = ("postgres",)


@pytest.fixture
def writer(database: Database) -> PostgresWriter:
    return database.writer


@pytest.fixture
def url(database: Database) -> str:
    return database.reader.url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
async def other(url: str):
    """Somebody else at the same database."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def neighbour(url: str, database: Database):
    """Another node."""
    opened = await open_database(url, patience=5.0)
    yield opened
    await opened.close()


async def until(condition, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def held_up(writer: PostgresWriter, other: asyncpg.Connection, table: str = "sessions"):
    """A lock that keeps units from being written; all that gathers meanwhile is one commit."""
    transaction = other.transaction()
    await transaction.start()
    await other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    yield
    await transaction.rollback()


async def test_what_gathers_while_the_writer_is_busy_is_one_commit(writer, station, other, rows):
    writer._patience = 5.0
    before = await rows("SELECT max(commits) FROM writers")
    async with held_up(writer, other):
        first = writer.commit(unit_of(station, session(0)))
        await asyncio.sleep(0)
        commits = [writer.commit(unit_of(station, session(number))) for number in range(1, 50)]
    await asyncio.gather(first, *commits)
    assert await rows("SELECT count(*) FROM sessions") == [(50,)]
    assert (await rows("SELECT max(commits) FROM writers"))[0][0] - before[0][0] <= 2


async def test_what_most_commits_consist_of_takes_three_statements(writer, station, rows):
    """Each one that is waited for costs the node as much as several messages."""
    await writer.commit(unit_of(station, session(1)))
    said: list[str] = []
    writer._connection.add_query_logger(lambda record: said.append(record.query))
    changes = [StationDisconnected(at=NOW, reason="gone")]
    await asyncio.gather(*(
        writer.commit(unit_of(station, session(number), connectors=[free(number)], events=changes))
        for number in range(2, 40)
    ))  # fmt: skip
    assert [query.split()[0] for query in said] == ["BEGIN;", "WITH", "INSERT"], said
    assert await rows("SELECT count(*), (SELECT count(*) FROM status_history) FROM outbox") == [(38, 38)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NULL",
        'a "word"',
        "{a,b}",
        "back\\slash\\",
        '\\"',
        "it's; --",
        "lines\r\n\tbelow",
        "  at both ends  ",
        "中文 🔌",
    ],
)
async def test_any_text_is_kept_as_it_came(writer, station, rows, text):
    await writer.commit(unit_of(station, connectors=[free(1, error_info=text), free(2), free(3, error_info="x")]))
    assert await rows("SELECT error_info FROM connectors ORDER BY evse_id") == [(text,), (None,), ("x",)]


async def test_any_number_is_kept_as_it_came(writer, station, rows):
    numbers = [0.1, -2.5e-300, 1e22, 9007199254740993, None, float("inf")]
    await asyncio.gather(*(
        writer.commit(unit_of(station, session(place, power_w=number))) for place, number in enumerate(numbers)
    ))  # fmt: skip
    assert await rows("SELECT power_w FROM sessions ORDER BY id") == [
        (None if number is None else float(number),) for number in numbers
    ]


@pytest.mark.parametrize(
    "poison",
    [
        session(1),
        session(77, start_key="key-1"),
        session(77, reservation_id=2**70),
        session(77, token=object()),
        session(77, token="\ud800"),
        session(77, transaction_id="".join(chr(0x4E00 + number * 7 % 20000) for number in range(9000))),
        session(77, authorization="far too long for this column"),
    ],
    ids=["same id", "same start", "huge number", "no text", "no unicode", "larger than an index row", "too long"],
)
async def test_bad_unit_never_fails_its_neighbours(writer, station, rows, poison):
    await writer.commit(unit_of(station, session(1)))
    good = [session(number) for number in range(2, 40)]
    commits = [writer.commit(unit_of(station, one)) for one in (*good[:20], poison, *good[20:])]
    done = await asyncio.gather(*commits, return_exceptions=True)
    (bad,) = [result for result in done if result is not None]
    assert isinstance(bad, Exception) and not isinstance(bad, StorageUnavailable)
    assert writer.failing is False
    assert await rows("SELECT id FROM sessions ORDER BY id") == [(number,) for number in range(1, 40)]


async def test_unit_that_cannot_be_made_rows_of_never_stops_the_writer(writer, station, rows):
    broken = unit_of(station, session(1))
    broken.at = None
    with pytest.raises(TypeError):
        await writer.commit(broken)
    await writer.commit(unit_of(station, session(2)))
    assert await rows("SELECT id FROM sessions") == [(2,)]


async def test_a_bad_unit_among_many_costs_few_commits(writer, station, rows):
    await writer.commit(unit_of(station, session(1)))
    (before,) = (await rows("SELECT max(commits) FROM writers"))[0]
    commits = [writer.commit(unit_of(station, session(number))) for number in range(2, 1002)]
    bad = writer.commit(unit_of(station, session(1)))
    with pytest.raises(asyncpg.UniqueViolationError):
        await bad
    await asyncio.gather(*commits)
    assert (await rows("SELECT max(commits) FROM writers"))[0][0] - before < 30


async def test_lock_is_waited_for_and_told(writer, station, other, monkeypatch):
    writer._patience = 20.0
    monkeypatch.setattr(postgres, "_SLOW", 0.2)
    with capture_logs() as logs:
        async with held_up(writer, other):
            commit = writer.commit(unit_of(station, session(1)))
            await until(lambda: writer.failing)
        await commit
    assert writer.failing is False
    assert [line["event"] for line in logs] == ["storage.failing", "storage.recovered"]


async def test_patience_has_an_end_and_nothing_was_kept(writer, station, other, rows):
    writer._patience = 0.0
    async with held_up(writer, other):
        with pytest.raises(StorageUnavailable, match="lock timeout"):
            await writer.commit(unit_of(station, session(1)))
        assert writer.failing
    await until(lambda: not writer.failing)  # Though nobody writes: no station is let in meanwhile.
    assert await rows("SELECT id FROM sessions") == []
    await writer.commit(unit_of(station, session(2)))


async def test_probe_does_not_call_a_locked_table_well(writer, station, other, monkeypatch):
    writer._patience = 0.0
    monkeypatch.setattr(postgres, "_PROBE", 0.01)
    async with held_up(writer, other, "samples"):
        await other.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StorageUnavailable):
            await writer.commit(unit_of(station, session(1)))
        with capture_logs() as logs:
            await asyncio.sleep(3)  # Longer than one probe waits for its lock.
        assert writer.failing and logs == []
    await until(lambda: not writer.failing)


async def test_deadlock_is_tried_again_and_is_no_failure(writer, station, other, rows):
    """Another node holds one of two rows and asks for the other: PostgreSQL ends one of the two, both are kept."""
    writer._patience = 20.0
    two = [free(1), free(2)]
    await writer.commit(unit_of(station, connectors=two))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SET LOCAL deadlock_timeout = '10s'")  # So it is the writer that is ended.
    await other.execute("UPDATE connectors SET error_info = 'other' WHERE evse_id = 2")
    with capture_logs() as logs:
        commit = writer.commit(unit_of(station, connectors=[free(1, status="faulted"), free(2, status="faulted")]))
        await asyncio.sleep(0.3)  # The writer holds row 1 and waits for row 2.
        await other.execute("UPDATE connectors SET error_info = 'other' WHERE evse_id = 1")
        await transaction.commit()
        await commit
    assert logs == [] and writer.failing is False
    assert await rows("SELECT status FROM connectors") == [("faulted",), ("faulted",)]


async def test_jobs_of_two_nodes_that_read_then_write_lose_no_update(database, neighbour, rows):
    def count(connection: sa.Connection) -> int:
        value = connection.execute(sa.select(counters.c.value).where(counters.c.name == "test")).scalar()
        if value is None:
            connection.execute(sa.insert(counters).values(name="test", value=1))
        else:
            connection.execute(sa.update(counters).where(counters.c.name == "test").values(value=value + 1))
        return value

    await asyncio.gather(*(each.writer.run(count) for each in (database, neighbour) for _ in range(20)))
    assert await rows("SELECT value FROM counters WHERE name = 'test'") == [(40,)]


async def test_two_nodes_make_an_operator_and_a_station_once(database, neighbour, rows):
    for number in range(5):
        ids = await asyncio.gather(
            *(each.writer.run(admin.ensure_operator(f"operator-{number}")) for each in (database, neighbour))
        )
        assert ids[0] == ids[1]
        new = await asyncio.gather(
            *(each.writer.run(admin.put_station(ids[0], "CS", {}, NOW)) for each in (database, neighbour))
        )
        assert sorted(new) == [False, True]


async def test_session_ids_of_two_nodes_never_meet(database, neighbour):
    first, second = await asyncio.gather(open_records(database, NOW), open_records(neighbour, NOW))
    ids = {records.next_session_id() for records in (first, second) for _ in range(100)}
    assert len(ids) == 200


async def test_events_of_two_nodes_are_read_in_the_order_of_their_commits(database, neighbour, station):
    """A reader that goes on from the last id it saw misses nothing, though both write side by side."""
    outbox, seen, event = Outbox(database), [], StationDisconnected(at=NOW, reason="test")

    async def write(writer: PostgresWriter) -> None:
        for _ in range(60):
            await writer.commit(unit_of(station, events=[event]))

    async def read() -> None:
        while len(seen) < 120:
            page = await outbox.page(seen[-1] if seen else 0, 7)
            seen.extend(entry.id for entry in page)
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await asyncio.gather(read(), write(database.writer), write(neighbour.writer))
    assert seen == sorted(set(seen))


async def test_a_node_that_is_slow_to_commit_holds_up_no_events_of_others(
    database, writer, neighbour, station, monkeypatch
):
    reached, go_on, execute = asyncio.Event(), asyncio.Event(), asyncpg.Connection.execute

    async def slow(connection, sql, *arguments, **options):
        if connection is writer._connection and sql.endswith("COMMIT"):
            reached.set()
            await go_on.wait()
        return await execute(connection, sql, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, "execute", slow)
    units = [unit_of(station) for _ in range(2)]
    for number, unit in enumerate(units):
        unit.events.append(StationDisconnected(at=NOW, reason=f"it's {{{number}}}, \\ \0"))
    async with asyncio.timeout(10):
        first = writer.commit(units[0])
        await reached.wait()
        await neighbour.writer.commit(units[1])
        go_on.set()
        await first
    told = await Outbox(database).page(0, 10)
    assert [msgspec.json.decode(entry.events[0])["reason"] for entry in told] == ["it's {1}, \\ \0", "it's {0}, \\ \0"]


async def test_what_is_committed_survives_a_lost_connection_and_is_written_once(writer, station, other, rows):
    writer._patience = 10.0
    commits = [writer.commit(unit_of(station, session(number))) for number in range(1, 200)]
    for _ in range(10):
        await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
        commits += [writer.commit(unit_of(station, session(number * 1000 + len(commits)))) for number in range(1, 9)]
        await asyncio.sleep(0.01)
    await asyncio.gather(*commits)
    assert await rows("SELECT count(*) FROM sessions") == [(len(commits),)]


async def test_a_connection_lost_while_nobody_writes_is_noticed(writer, station, other):
    before = writer._connection
    await writer.commit(unit_of(station, session(1)))
    await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
    await until(lambda: writer._connection not in (None, before))
    await until(lambda: not writer.failing)


async def test_writer_whose_row_is_gone_begins_anew(writer, station, other, rows):
    writer._patience = 5.0
    await writer.commit(unit_of(station, session(1)))
    await other.execute("DELETE FROM writers")  # As after a restore.
    await writer.commit(unit_of(station, session(2)))
    assert await writer.run(admin.ensure_operator("new")) > 0
    assert await rows("SELECT id FROM sessions") == [(1,), (2,)]


async def test_answers_are_durable_though_the_server_is_set_not_to_be(postgres):
    url = await fresh(postgres)
    admin_ = await asyncpg.connect(url)
    await admin_.execute(f"ALTER DATABASE {name_of(url)} SET synchronous_commit = off")
    await admin_.close()
    database = await open_database(url, patience=0.5)
    setting = lambda connection: connection.exec_driver_sql("SHOW synchronous_commit").scalar()  # noqa: E731
    assert await database.writer.run(setting) == "on"
    assert await (await database.writer._connected()).fetchval("SHOW synchronous_commit") == "on"
    await database.close()


async def test_newer_schema_is_refused_with_the_remedy(postgres):
    url = await fresh(postgres)
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    with pytest.raises(DatabaseError, match="newer version"):
        await migrate_postgres(url)
    with pytest.raises(DatabaseError, match="newer version"):
        await open_database(url, patience=0.5)


async def test_look_ups_are_held_while_connections_break(database, station, other):
    for _ in range(5):
        await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
        assert (await database.lookups.rows(sa.text("SELECT 1")))[0][0] == 1


async def test_job_that_nobody_waits_for_any_longer_is_not_begun(writer, rows):
    first = writer.run(admin.ensure_operator("first"))
    given_up = writer.run(admin.ensure_operator("given up"))
    given_up.cancel()
    await asyncio.gather(first, writer.run(admin.ensure_operator("last")))
    assert await rows("SELECT name FROM operators WHERE name != 'default' ORDER BY id") == [("first",), ("last",)]


async def test_closing_finishes_what_waits_and_takes_nothing_new(postgres, station):
    database = await open_database(await fresh(postgres), patience=5.0)
    waiting = database.writer.run(admin.ensure_operator("last"))
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable, match="stopping"):
        await database.writer.run(lambda connection: None)
    await closing
    assert await waiting > 0


# Searches


async def test_where_trigrams_may_not_be_had_texts_are_found_all_the_same(postgres):
    name = f"plain_{os.getpid()}"
    server = await asyncpg.connect(postgres.url())
    await server.execute(f"CREATE ROLE {name} LOGIN")
    await server.execute(f"CREATE DATABASE {name}")
    await server.close()
    owner = await asyncpg.connect(postgres.url(name))
    await owner.execute(f"GRANT CREATE ON SCHEMA public TO {name}")  # It may make tables, but no extension.
    await owner.close()
    with capture_logs() as logged:
        opened = await open_database(postgres.url(name).replace("postgres@", f"{name}@"), patience=0.5)
    try:
        operator = await opened.writer.run(admin.ensure_operator("default"))
        await opened.writer.run(admin.put_station(operator, "CS-1", {"vendor": "Somebody"}, NOW))
        found = await Queries(opened.reader).page(STATIONS, text="MEBO")
    finally:
        await opened.close()
    assert [entry["event"] for entry in logged] == ["database.no_trigrams"]
    assert [row["id"] for row in found.rows] == ["CS-1"]


async def test_how_soon_rows_are_found_depends_on_nobody_else_who_scans_the_table(rows):
    assert await rows("SHOW synchronize_seqscans") == [("off",)]
