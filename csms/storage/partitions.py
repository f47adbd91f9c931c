"""Partitions by day of a large PostgreSQL table: made ahead, dropped whole when they are old.

Rows go by the time at which we received them, which no station can get wrong. A default partition takes what none is
there for, so that a commit never waits for this.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from csms.storage.tables import from_us, to_us

_AHEAD = timedelta(days=7)
_DAY = timedelta(days=1)
# A lock that is not had at once is left to the next time: whoever waits for it would hold up those who write.
_AT_ONCE = sa.text("SET LOCAL lock_timeout = '200ms'")
_BOUNDS = sa.text(
    "SELECT c.oid::regclass::text, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i "
    "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:table)"
)


class Partition(NamedTuple):
    name: str
    until: int  # µs since 1970; what it holds is older.


def partitions(connection: sa.Connection, table: str) -> list[Partition]:
    """The oldest first, without the default one."""
    found = []
    for name, bound in connection.execute(_BOUNDS, {"table": table}):
        until = re.search(r"TO \('(\d+)'\)", bound)
        if until is not None:
            found.append(Partition(name, int(until[1])))
    return sorted(found, key=lambda partition: partition.until)


def make_ahead(connection: sa.Connection, table: str, column: str, now: datetime) -> int:
    """Partitions for the next days, as far as they are not there; returns how many were made."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    known = [from_us(partition.until) for partition in partitions(connection, table)]
    begin = max([today, *known])
    made = 0
    while begin < today + _AHEAD:
        _make(connection, table, column, begin, begin + _DAY)
        begin += _DAY
        made += 1
    return made


def _make(connection: sa.Connection, table: str, column: str, begin: datetime, end: datetime) -> None:
    name, first, last = f"{table}_{begin:%Y%m%d}", to_us(begin), to_us(end)
    connection.execute(_AT_ONCE)
    # Who writes meanwhile waits, then finds the new partition: else its row would come to be in the default one, or be
    # on its way there, and either this or its commit would fail.
    connection.execute(sa.text(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE"))
    connection.execute(sa.text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)"))
    strays = f"DELETE FROM {table}_default WHERE {column} >= {first} AND {column} < {last} RETURNING *"
    connection.execute(sa.text(f"WITH strays AS ({strays}) INSERT INTO {name} SELECT * FROM strays"))
    connection.execute(sa.text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({last})"))


def drop_oldest(connection: sa.Connection, table: str, before: datetime) -> str | None:
    """Drop the oldest partition if all of it is older; its name."""
    found = partitions(connection, table)
    if len(found) < 2 or found[0].until > to_us(before):
        return None
    connection.execute(_AT_ONCE)
    connection.execute(sa.text(f"DROP TABLE {found[0].name}"))
    return found[0].name


def forget_strays(connection: sa.Connection, table: str, column: str, before: datetime, most: int) -> int:
    """Delete old rows for which there was no partition when they came; how many."""
    old = f"SELECT ctid FROM {table}_default WHERE {column} < {to_us(before)} LIMIT {most}"
    return connection.execute(sa.text(f"DELETE FROM {table}_default WHERE ctid IN ({old})")).rowcount
