"""How long every listing of the API takes at a country's size. `python -m benchmarks.queries --stations 1020000`.

Builds a PostgreSQL database of that size (a country's takes a quarter of an hour and 25 GB) and asks each listing in each
order, for all operators, a large and a small one; filtered by each filter, for a value that many rows have, that few
have, and that none has; the first page, and one in the middle. Figures are CPU time of database and program, which other
load on the machine changes little, of a warm query: the better of two.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import sqlalchemy as sa

from benchmarks.country import BLOCK, DAYS, fill
from csms.storage import network
from csms.storage.bulk import BULKS, ITEMS, BulkLog
from csms.storage.database import Database, open_database
from csms.storage.listings import ALL
from csms.storage.paging import Listing, Paging, Row, page, select
from csms.storage.queries import Queries
from tests.postgres import Postgres

BUDGET = 0.1  # s
_BYTES = 190  # Of disk that a reading takes with its session and indexes; the write-ahead log besides.
_SCOPES = (None, "operator-1", "operator-13")
# Only ever asked within one station, session or bulk command.
_WITHIN: dict[str, dict[str, Any]] = {
    "samples": {"session": 4711}, "reported": {"station": 4711}, "station_log": {"station": 4711}, "items": {"bulk": 1},
}  # fmt: skip
_SERVER = (  # It is built once and thrown away; what is measured reads only.
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
    "max_wal_size=2GB", "shared_buffers=512MB", "maintenance_work_mem=512MB", "max_connections=40", "max_parallel_workers_per_gather=0",
)  # fmt: skip


class Way(NamedTuple):
    """A page that is asked for."""

    name: str
    order: str
    operator: str | None
    given: dict[str, Any]
    middle: bool = False

    def __str__(self) -> str:
        filters = " ".join(f"{name}={value}" for name, value in self.given.items())
        where = "middle" if self.middle else "first"
        return f"{self.name} by {self.order}, {self.operator or 'all'}, {where} page {filters}"


def values(now: datetime) -> dict[str, dict[str, tuple[Any, ...]]]:
    """What each filter of a listing is given: values that many rows have, few, none."""
    return {
        "operators": {"text": ("operator", "-13", "nobody")},
        "locations": {
            "city": ("City 7", "Nowhere"), "kind": ("city", "highway", "depot"), "service_area": ("A10", "A0"),
            "text": ("city", "L0000", "l012345", "99 main street", "nowhere", "zz"), 
            "box": ((30.0, 100.0, 31.0, 101.0), (30.0, 100.0, 30.01, 100.01), (0.0, 0.0, 1.0, 1.0), (20.0, 75.0, 45.0, 130.0)),
        },
        "stations": {
            "online": (True, False), "location": ("L000100", "nowhere"),
            "status": ("available", "occupied", "faulted", "reserved"),
            "version": ("1.6", "2.0.1", "2.1"), "vendor": ("Vendor 49", "Vendor 20", "Vendor 13", "Nobody"),
            "model": ("Model 49-3", "Model 13-1", "None"), "firmware": ("49.3.0", "13.1.0", "0.9.1-beta", "none"),
            "admission": ("accepted", "pending"),
            "text": ("vendor", "op05", "op13-", "0.9.1-beta", "op01-0004711", "sn0123", "nobody", "zz", "x"),
        },
        "sessions": {
            "station": ("OP01-0004711", "nobody"), "token": ("TAG000004711", "nobody"), "active": (True, False),
            "flag": ("incomplete", "no_clock", "none"),
            "started_from": (now - timedelta(days=DAYS // 2), now), "started_until": (now - timedelta(days=DAYS // 2),),
        },
        "samples": {}, "reported": {"kinds": (("variable",), ("report",))},
        "station_log": {"kind": ("security", "none")},
        "tokens": {
            "group": ("Fleet 7", "none"), "status": ("accepted", "blocked", "expired"), "type": ("ISO14443", "eMAID", "none"),
            "text": ("tag", "fleet 4711", "tag000004711", "nobody", "zz"),
        },
        "groups": {"name": ("Fleet 7", "none")},
        "reservations": {
            "station": ("OP01-0004711", "nobody"), "token": ("TAG000004711", "nobody"),
            "status": (("expired", now), ("accepted", now), ("cancelled", now), ("rejected", now)),
        },
        "profiles": {"station": ("OP01-0000005", "nobody"), "purpose": ("TxDefaultProfile", "ChargePointMaxProfile", "none")},
        "local_lists": {"station": ("OP01-0000011", "nobody")},
        "commands": {
            "station": ("OP01-0004711", "nobody"), "action": ("Reset", "ClearCache", "none"),
            "status": ("answered", "timeout", "unknown", "pending", "error"),
        },
        "tariffs": {}, "users": {"role": ("viewer",)}, "keys": {"role": ("viewer",)},
        "audit": {
            "concerning": ("operator-1", "nobody"), "actor": ("ada", "eve", "nobody"),
            "action": ("PUT /api/v1/stations/{id}", "DELETE /api/v1/stations/{id}", "none"),
            "object": ("/api/v1/stations/7", "none"), "outcome": ("done", "failed", "none"),
            "since": (now,), "until": (now,),
        },
        "bulks": {"status": ("running", "done")},
        "items": {"state": tuple((1, state) for state in ("answered", "waiting", "refused", "timeout", "cancelled"))},
    }  # fmt: skip


LISTINGS: dict[str, Listing] = ALL | {"bulks": BULKS, "items": ITEMS}


def ways(now: datetime) -> Iterator[Way]:
    for name, filters in values(now).items():
        listing, within = LISTINGS[name], _WITHIN.get(name, {})
        for order in listing.orders:
            for operator in _SCOPES if listing.owner is not None else (None,):
                yield Way(name, order, operator, within)
                yield Way(name, order, operator, within, middle=True)
                for wanted, some in filters.items():
                    for place, value in enumerate(some):
                        yield Way(name, order, operator, within | {wanted: value})
                        if place == 0:
                            yield Way(name, order, operator, within | {wanted: value}, middle=True)


async def measured(database: Database, clock: Clock, now: datetime, only: str | None) -> dict[str, list]:
    """By listing: (s, what was asked)."""
    queries, found = Queries(database.reader), {}
    for way in ways(now):
        if only is not None and way.name != only:
            continue
        listing = LISTINGS[way.name]
        paging = Paging(sort=way.order)
        if way.middle:
            cursor = await _middle(queries, listing, way)
            if cursor is None:
                continue
            paging = paging._replace(cursor=cursor)
        took = await clock.of(lambda: queries.page(listing, paging, way.operator, **way.given))  # noqa: B023
        found.setdefault(way.name, []).append((took, str(way)))
        if took > BUDGET:
            told(f"{1000 * took:7.0f} ms {way}")
    return found


async def counted(database: Database, clock: Clock, now: datetime) -> list[tuple[float, str]]:
    """What is counted: totals of listings as `total=true` asks for them, and the sums that people are shown."""
    queries, found = Queries(database.reader), []
    paging = Paging(limit=1, total=True)
    for name, filters in values(now).items():
        for given in ({}, *({wanted: some[0]} for wanted, some in filters.items())):
            given = _WITHIN.get(name, {}) | given
            took = await clock.of(lambda: queries.page(LISTINGS[name], paging, **given))  # noqa: B023
            found.append((took, f"total of {name} {given}"))
    for operator in _SCOPES:
        found.append((await clock.of(lambda: network.summary(database.reader, operator)), f"summary of {operator}"))  # noqa: B023
        found.append((await clock.of(lambda: queries.totals(operator)), f"totals of {operator}"))  # noqa: B023
    found.append((await clock.of(lambda: BulkLog(database).counts(1)), "states of a bulk command's items"))
    return found


class Clock:
    """CPU seconds of this process and of its connections that read (Linux)."""

    def __init__(self, database: Database):
        self._database = database
        self._backends: list[Path] = []

    async def begin(self) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(4):  # All that there may be: each query takes one of them.
                connection = await stack.enter_async_context(self._database.reader.connect())
                found = await connection.execute(sa.text("SELECT pg_backend_pid()"))
                self._backends.append(Path(f"/proc/{found.scalar_one()}/schedstat"))

    def now(self) -> float:
        return process_time() + sum(int(file.read_text().split()[0]) for file in self._backends) / 1e9

    async def of(self, work: Callable[[], Awaitable[Any]]) -> float:
        """s that it takes; the better of two."""
        best = float("inf")
        for _ in range(2):
            begin = self.now()
            await work()
            best = min(best, self.now() - begin)
        return best


async def _middle(queries: Queries, listing: Listing, way: Way) -> str | None:
    """A cursor in the middle of the first 200,000 rows that a way finds; None: they are few."""
    owner = None if way.operator is None else int(way.operator.removeprefix("operator-"))
    asked = select(listing, Paging(limit=1, sort=way.order), owner, **way.given).rows
    many = await queries.first(select(listing, Paging(), owner, **way.given).total)
    count = min(next(iter(many.values())), 200_000)
    rows: list[Row] = await queries.rows(asked.offset(count // 2)) if count > 200 else []
    return page(listing, Paging(limit=1, sort=way.order), rows, None).next


def told(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def shown(found: dict[str, list[tuple[float, str]]]) -> str:
    lines = ["| listing | ways asked | median | slowest | over 100 ms |", "| --- | --: | --: | --: | --: |"]
    for name, some in found.items():
        times = [took for took, _ in some]
        over = sum(took > BUDGET for took in times)
        lines.append(f"| {name} | {len(some)} | {1000 * median(times):.1f} ms | {1000 * max(times):.0f} ms | {over} |")
    return "\n".join(lines)


async def run(url: str, stations: int, samples: int, only: str | None) -> bool:
    """Whether all was within the budget. `stations` zero: what is there is measured as it is."""
    now = datetime.now(UTC)
    database = await open_database(url)
    try:
        if stations:
            await fill(url, stations, samples, now, told)
        clock = Clock(database)
        await clock.begin()
        found = await measured(database, clock, now, only)
        print(shown(found))
        if only is None:
            for took, what in sorted(await counted(database, clock, now), reverse=True)[:20]:
                print(f"{1000 * took:7.0f} ms {what}")
    finally:
        await database.close()
    return all(took <= BUDGET for some in found.values() for took, _ in some)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__)
    parser.add_argument("--stations", type=int, default=102_000)
    parser.add_argument("--samples", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, default=None, help="where the database is built (and thrown away)")
    parser.add_argument("--url", help="measure a database that this program has filled before")
    parser.add_argument("--only", help="one listing", choices=sorted(LISTINGS))
    asked = parser.parse_args()
    if asked.url is not None:
        return 0 if asyncio.run(run(asked.url, 0, 0, asked.only)) else 1
    samples = max(asked.samples // BLOCK, 1) * BLOCK
    folder = Path(tempfile.mkdtemp(prefix="csms-queries-", dir=asked.folder))
    free = shutil.disk_usage(folder).free
    if free < 1.3 * _BYTES * samples + 3_000 * asked.stations + (3 << 30):
        shutil.rmtree(folder)
        parser.error(f"{folder.parent} has room for {free >> 30} GiB only: ask for less, or name another --folder.")
    folder.chmod(0o755)
    server = Postgres(folder / "data", *_SERVER)
    try:
        server.start()
        within = asyncio.run(run(server.url(), asked.stations, samples, asked.only))
    finally:
        server.stop()
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
