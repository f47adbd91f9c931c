"""The history of statuses: when which connector was what, when which station was there.

On PostgreSQL it is one table in partitions by day. On SQLite an index by station would cost each commit a page for each
row (measured: 10 µs a row beside 2), so units append to a table without one, and upkeep files what is there by station,
many rows a page; `status_history` shows both.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from csms.storage.tables import Instant, stations, status_archive, status_changes

status_history = sa.table("status_history", *(sa.column(each.name, each.type) for each in status_changes.c))


def file_changes(connection: sa.Connection, most: int) -> int:
    """Move the oldest changes to where they are found by station; how many."""
    oldest = sa.select(*status_changes.c).order_by(status_changes.c.id).limit(most)
    filed = connection.execute(sa.insert(status_archive).from_select(list(status_changes.c.keys()), oldest)).rowcount
    if filed:
        newest = sa.select(sa.func.max(status_archive.c.id)).scalar_subquery()
        connection.execute(sa.delete(status_changes).where(status_changes.c.id <= newest))
    return filed


def gone_offline(connection: sa.Connection, which: sa.ColumnElement[bool], now: datetime) -> None:
    """Put down that these stations are gone, for those who could not say it themselves."""
    moment = sa.literal(now, Instant)
    gone = sa.select(stations.c.id, sa.literal("offline"), moment, moment).where(which)
    connection.execute(
        sa.insert(status_changes).from_select(["station_id", "status", "reported_at", "received_at"], gone)
    )
