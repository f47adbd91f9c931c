"""No listing scans a large table, on either engine: every filter and every order of each one is explained.

The tables are empty here, where a planner would rather scan: so PostgreSQL is told to scan and sort only where there is
no other way, and what then is still scanned or sorted has no index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from csms.storage.bulk import ITEMS
from csms.storage.database import Database
from csms.storage.listings import ALL
from csms.storage.paging import Paging, page, select
from tests.conftest import NOW

LARGE = {
    "stations", "connectors", "locations", "sessions", "samples", "tokens", "commands", "station_log", "reported",
    "reservations", "charging_profiles", "status_archive", "status_changes", "local_lists", "audit", "outbox",
}  # fmt: skip
GIVEN: dict[str, Any] = {
    "online": True, "active": True, "box": (30.0, 110.0, 31.0, 111.0), "kinds": ["variable"], "status": "available",
    "session": 4_294_967_296, "evse": 1, "connector": 1, "since": NOW, "until": NOW, "started_from": NOW, "started_until": NOW,
}  # fmt: skip
# Never asked but within one station or session.
NARROWED = {"samples": "session", "reported": "station", "station_log": "station", "status_history": "station"}
# Where units append to on SQLite; what is there is filed soon (`csms.storage.history`).
SHORT_ON_SQLITE = {"status_changes"}
# Counts all tokens of an operator: a few of its groups are all that can come of it.
COUNTS = {"groups"}


def value_of(name: str, wanted: str) -> Any:
    if wanted == "station" and name in NARROWED:
        return 1
    if wanted == "status" and name == "reservations":
        return ("expired", NOW)
    return GIVEN.get(wanted, "x")


def asked() -> Iterator[tuple[str, str, int | None, dict[str, Any]]]:
    """Each listing in each of its orders: as it is, filtered by each of its filters, and within an operator."""
    for name, listing in sorted(ALL.items()):
        narrowed = {NARROWED[name]: value_of(name, NARROWED[name])} if name in NARROWED else {}
        for order in listing.orders:
            for wanted in (None, *listing.filters):
                given = narrowed | ({} if wanted is None else {wanted: value_of(name, wanted)})
                yield name, order, None, given
                if listing.owner is not None:
                    yield name, order, 1, given


def statement(name: str, order: str, owner: int | None, given: dict[str, Any]) -> sa.Select:
    return select(ALL[name], Paging(limit=100, sort=order), owner, **given).rows


def test_every_listing_is_asked_in_every_way():
    ways = list(asked())
    assert {name for name, *_ in ways} == set(ALL)
    assert len(ways) > 200


def plan(
    connection: sa.Connection, query: sa.Select, off: tuple[str, ...] = ("sort", "hashjoin", "mergejoin", "bitmapscan")
) -> list[str]:
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        for way in ("seqscan", "sort", "hashjoin", "mergejoin", "bitmapscan"):
            connection.exec_driver_sql(f"SET enable_{way} = {'off' if way in ('seqscan', *off) else 'on'}")
    explained = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
    prefix = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
    return [str(row[-1]) for row in connection.execute(sa.text((prefix + explained).replace(":", "\\:")))]


def scanned(line: str) -> bool:
    found = re.search(r"Seq Scan on (\w+)", line) or re.match(r"SCAN (\w+)(?! USING)", line)
    if found is not None and line.startswith("SCAN") and found[1] in SHORT_ON_SQLITE:
        return False
    return found is not None and re.sub(r"_(before|default|\d{8})$", "", found[1]) in LARGE


async def test_no_listing_scans_a_large_table(database: Database):
    bad = []
    async with database.reader.connect() as connection:
        for way in asked():
            lines = await connection.run_sync(plan, statement(*way))
            if database.reader.dialect.name == "sqlite" and not _sorts(lines):
                continue  # In the order of the primary key, from where the page begins: SQLite calls that a scan.
            bad += [(*way, line.strip()) for line in lines if way[0] not in COUNTS and scanned(line)]
    assert bad == [], "\n".join(map(str, bad))


# What a value is given of, that has few rows, where an index holds those alone.
RARE: dict[str, Any] = {"status": "reserved", "admission": "pending", "version": "2.1", "text": "a text"}
# SQLite, which is not for a country, looks for texts and statuses in all rows.
SEARCHED = {"sqlite": {"text", "status"}, "postgresql": set()}


async def test_few_of_many_rows_are_found_by_an_index_of_their_filter(database: Database):
    """Not by walking through another one, which would be no scan to the planner's word but to the clock."""
    bad, seen = [], 0
    dialect = database.reader.dialect.name
    async with database.reader.connect() as connection:
        for name, listing in sorted(ALL.items()):
            for wanted in sorted(listing.rare - SEARCHED[dialect]):
                few = select(listing, Paging(), **{wanted: RARE.get(wanted, "x")}).few
                lines = await connection.run_sync(plan, few, ())
                seen += 1
                if not _found(lines, wanted) or any(map(scanned, lines)):
                    bad.append((name, wanted, lines))
    assert seen >= 5
    assert bad == [], "\n".join(map(str, bad))


def _found(lines: list[str], wanted: str) -> bool:
    """Whether the index that is named after the filter is asked for its value, or (flags) holds nothing else."""
    how = "" if wanted == "flag" else r"[^\n]*\n\s*Index Cond"
    plan = "\n".join(lines)
    return (
        re.search(rf"\bix_\w+_{wanted}\w*{how}", plan) is not None
        or re.search(rf"SEARCH \w+ USING .*\bix_\w+_{wanted}\b", plan) is not None
    )


def _sorts(lines: list[str]) -> bool:
    return any(re.match(r"\s*(->\s+)?Sort\s", line) or "USE TEMP B-TREE FOR ORDER BY" in line for line in lines)


@pytest.mark.parametrize("name", ["stations", "sessions", "tokens", "commands", "audit", "locations", "reservations"])
async def test_an_unfiltered_page_is_read_in_the_order_of_an_index(database: Database, name: str):
    """The thousandth page costs what the first does."""
    async with database.reader.connect() as connection:
        for order in ALL[name].orders:
            for owner in (None, 1) if ALL[name].owner is not None else (None,):
                if name == "reservations" and owner is not None:
                    continue  # An operator's are found by station; they are few.
                lines = await connection.run_sync(plan, statement(name, order, owner, {}))
                assert not _sorts(lines), (order, owner, lines)


@pytest.mark.parametrize("order", ["id", "-id", "started_at", "-started_at"])
async def test_flagged_sessions_are_read_in_either_order_from_an_index_of_them_alone(database: Database, order: str):
    async with database.reader.connect() as connection:
        lines = await connection.run_sync(plan, statement("sessions", order, None, {"flag": "incomplete"}))
    assert not _sorts(lines) and "ix_sessions_flagged" in "".join(lines), lines


async def test_whether_a_bulk_command_was_cancelled_is_asked_once_not_of_each_item(database: Database):
    asked = select(ITEMS, Paging(), bulk=1, state=(1, "cancelled")).rows
    async with database.reader.connect() as connection:
        lines = await connection.run_sync(plan, asked)
    once = "SCALAR SUBQUERY" if connection.dialect.name == "sqlite" else "One-Time Filter"
    assert any(once in line and "CORRELATED" not in line for line in lines), lines


@pytest.mark.parametrize("name", ["profiles", "local_lists"])
@pytest.mark.parametrize(("order", "bound"), [("station", "stations.id >="), ("-station", "stations.id <=")])
def test_page_in_the_order_of_stations_passes_over_those_before_it(name: str, order: str, bound: str):
    """Or a join reads all that come before: of a million stations half of them, for a page in the middle."""
    row = {"profile": "{}", "entries": "{}", "_0": 4711, "_1": 1}
    asked = Paging(limit=1, sort=order)
    cursor = page(ALL[name], asked, [row, row], None).next
    assert bound in str(select(ALL[name], asked._replace(cursor=cursor)).rows)
