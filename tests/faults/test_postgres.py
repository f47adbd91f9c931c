"""What may befall PostgreSQL and the way to it: nothing false is said, nothing is lost or doubled, all recovers by itself."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa

from csms.domain.ports import StorageUnavailable
from csms.domain.stations import Station
from csms.storage import admin
from csms.storage.database import Database, open_database
from tests.conftest import NOW
from tests.faults.proxy import Proxy
from tests.journeys.processes import Fleet, ServerProcess, assert_sound
from tests.postgres import Postgres, database, name_of, running
from tests.storage.conftest import session, unit_of
from tests.storage.test_postgres import until

KILLS = int(os.environ.get("CSMS_DATABASE_KILLS", "3"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """To be killed: a server of this module's own, which syncs its disk, at commits and at nothing else."""
    with running("wal_writer_delay=10s", "autovacuum=off") as server:
        yield server


@pytest.fixture
async def proxy(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Proxy]:
    between = Proxy(tmp_path / "way", postgres.socket)
    await between.start()
    yield between
    await between.stop()


@pytest.fixture
async def kept(postgres: Postgres, proxy: Proxy) -> AsyncIterator[Database]:
    """A database with station 1, whose connections lead through the proxy."""
    url = await database(postgres)
    opened = await open_database(postgres.url(name_of(url), proxy.folder), patience=20.0)
    operator_id = await opened.writer.run(admin.ensure_operator("default"))
    await opened.writer.run(admin.put_station(operator_id, "CS-1", {}, NOW))
    yield opened
    await opened.close()


@pytest.fixture
def station() -> Station:
    return Station(1, 1, "default", "CS-1")


async def stored(opened: Database) -> list[int]:
    return [row[0] for row in await opened.lookups.rows(sa.text("SELECT id FROM sessions ORDER BY id"))]


def once(what: str):
    """This at the next commit, afterwards nothing more."""
    left = [what]
    return lambda: left.pop() if left else "pass"


@pytest.mark.parametrize("cut", ["cut before", "cut behind", "cut its reply"])
async def test_D3_connection_cut_around_a_commit_keeps_units_and_jobs_once(kept, proxy, station, cut) -> None:
    for number in range(1, 6):
        proxy.at_commit = once(cut)
        await kept.writer.commit(unit_of(station, session(number)))
        proxy.at_commit = once(cut)
        if cut == "cut its reply":
            assert await kept.writer.run(admin.ensure_operator(f"operator-{number}")) > 1, "its result is not lost"
        assert await stored(kept) == list(range(1, number + 1))
    assert kept.writer.failing is False


async def test_D3_job_cut_off_before_its_commit_is_unavailable_and_not_kept(kept, proxy, postgres) -> None:
    proxy.at_commit = once("cut before")
    with pytest.raises(StorageUnavailable):
        await kept.writer.run(admin.ensure_operator("nobody"))
    found = await kept.writer.run(lambda connection: connection.exec_driver_sql("SELECT name FROM operators").all())
    assert [row[0] for row in found] == ["default"]


async def test_D3_goodbye_that_comes_before_the_end_of_its_connection_is_no_fault_of_what_is_written(
    kept, proxy, station, postgres
) -> None:
    """PostgreSQL ends a process with a last word; the driver then knows neither an end nor how to go on."""
    await kept.writer.run(admin.ensure_operator("before"))
    await kept.writer.commit(unit_of(station, session(1)))
    assert await stored(kept) == [1]
    proxy.tells_of_ends = False
    other = await asyncpg.connect(postgres.url(name_of(str(kept.reader.url))))
    await other.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
    await other.close()
    await asyncio.sleep(0.1)  # The last words have arrived.
    await kept.writer.commit(unit_of(station, session(2)))
    assert await stored(kept) == [1, 2]
    assert await kept.writer.run(admin.ensure_operator("after")) > 0


async def test_D3_number_of_a_lost_transaction_given_to_another_is_no_acknowledgement(
    kept, proxy, postgres, station
) -> None:
    """PostgreSQL is killed before our COMMIT arrives; after its recovery somebody else's transaction has our number.

    That one is committed: whoever asks PostgreSQL for the number's fate is told a lie about ours.
    """
    direct = postgres.url(name_of(str(kept.reader.url)))
    other = await asyncpg.connect(direct)
    proxy.at_commit = once("hold")
    commit = kept.writer.commit(unit_of(station, session(1)))
    async with asyncio.timeout(10):
        await proxy.held.wait()
    ours = await other.fetchval("SELECT backend_xid::text FROM pg_stat_activity WHERE backend_xid IS NOT NULL")
    other.terminate()
    proxy.stall()  # It must not be back before the other one.
    postgres.kill()
    postgres.start()
    other = await asyncpg.connect(direct)
    for number in range(5):
        await other.execute("INSERT INTO operators (name) VALUES ($1)", f"other-{number}")
    assert await other.fetchval("SELECT pg_xact_status($1::text::xid8)", ours) == "committed", "the lie"
    await other.close()
    proxy.cut()
    proxy.flow()
    await commit
    assert await stored(kept) == [1]


async def test_D3_server_and_its_database_survive_all_that_befalls_them(postgres, proxy, tmp_path: Path) -> None:
    """One run of a fleet, one thing after the other; not ready meanwhile, ready again by itself."""
    url = await database(postgres)
    server = ServerProcess(
        tmp_path, registration="open", storage_patience=3, database_url=postgres.url(name_of(url), proxy.folder)
    )
    await server.start()
    await server.command("token", "add", "SIM-TOKEN-0001")
    fleet = Fleet(server, 600)
    dice = random.Random(KILLS)
    try:
        for _ in range(KILLS):
            await fleet.goes_on()
            postgres.kill()
            await server.until_ready(False)
            postgres.start()
            await server.until_ready()

        await fleet.goes_on()
        postgres.kill()
        await server.until_ready(False)
        await until(lambda: any(line["event"] == "message.not_stored" for line in server.log_lines()))  # No patience.
        assert await server.health("live") == 200
        postgres.start()
        await server.until_ready()

        await fleet.goes_on()
        other = await asyncpg.connect(url)
        async with other.transaction():
            await other.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
            await server.until_ready(False)
        await server.until_ready()
        await other.close()

        await fleet.goes_on()
        proxy.stall()
        await server.until_ready(False)
        proxy.flow()
        await server.until_ready()

        proxy.at_commit = lambda: dice.choice(["cut before", "cut behind", "cut its reply", *["pass"] * 6])
        until_commits = proxy.commits + 50
        await until(lambda: proxy.commits > until_commits, 60)
        proxy.at_commit = lambda: "pass"
        await server.until_ready()
        await fleet.goes_on()
    finally:
        summary = await fleet.ended()
        await server.stop()
    proxy.folder = postgres.folder
    server.database = url
    verdict = await fleet.verdict()
    assert verdict["examples"] == {} and verdict["acknowledged_lost"] == 0
    assert verdict["messages_acknowledged"] > 100
    assert fleet.refused() == [], "a transaction message was answered with an error"
    assert summary["unacknowledged"] == 0
    await assert_sound(url)
