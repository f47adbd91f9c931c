"""Which nodes live, and which of them holds which station: kept in PostgreSQL, which all nodes share.

A node lives by a lease that it renews. What it writes for a station counts only while it holds the station, in this
epoch (`UNHELD`, checked within each commit); whoever takes a station over waits until what the former holder had under
way is kept or lost (each commit holds a shared lock of its node).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from csms.domain.events import StationDisconnected
from csms.domain.ports import StorageUnavailable
from csms.storage.commands import settle_unknown
from csms.storage.database import Database
from csms.storage.history import gone_offline
from csms.storage.tables import outbox, stations, to_us

# What is raised while the database is away.
AWAY = (OSError, TimeoutError, sa.exc.DBAPIError, sa.exc.TimeoutError, StorageUnavailable)
_LOCKS = 7_203_516  # The class of the advisory locks of nodes.
_SLICE = 500  # Stations of a lost node that are marked away in one transaction.
_RECENT = 60_000_000  # µs after a change of hands in which the former holder is waited for.
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


def holding_lock(node: int) -> str:
    """SQL that a node's transaction begins with: who takes a station from it waits for the end of this."""
    return f"SELECT pg_advisory_xact_lock_shared({_LOCKS}, {node:d})"


# Of these (station, epoch), those that node $3 does not hold.
UNHELD = """
    SELECT v.id, v.epoch FROM unnest($1::text::bigint[], $2::text::bigint[]) AS v (id, epoch)
    WHERE NOT EXISTS (SELECT FROM holdings h JOIN nodes n ON n.id = h.node
                      WHERE h.station_id = v.id AND h.epoch = v.epoch AND n.id = $3 AND n.lost_at IS NULL)
"""
# How many nodes live.
LIVING = f"SELECT count(*) FROM nodes WHERE lost_at IS NULL AND alive_until >= {_NOW}"


class Renewed(NamedTuple):
    """What a node learns when it renews its lease."""

    now: int  # µs, the database's clock.
    leader: int  # The longest-serving node that lives.
    lapsed: list[int]  # Nodes whose lease has run out.
    others: int  # Nodes that live beside it.


class Claimed(NamedTuple):
    """A station that is ours. `taken`: another node held it until now."""

    epoch: int
    taken_from: int | None


class Changed(NamedTuple):
    """A station that another node holds now, or that an operator changed."""

    station_id: int
    epoch: int
    admission: str
    strict: bool


class Holder(NamedTuple):
    """Who holds a station that is connected."""

    node: int
    version: str | None


class Nodes:
    """The nodes of one network, as their database knows them."""

    def __init__(self, database: Database):
        self._database = database

    async def join(self, name: str, lease: float) -> int:
        """A new node; its number is never used again. `lease`: s."""
        [row] = await self._change(_JOIN, name=name, lease=_us(lease))
        return row.id

    async def renew(self, node: int, lease: float) -> Renewed | None:
        """Go on living; None when the others have declared this node lost."""
        rows = await self._change(_RENEW, node=node, lease=_us(lease))
        if not rows:
            return None
        found = await self._database.lookups.rows(_NODES)
        # One that is lost and whose lease holds is being buried by itself, or by somebody else.
        lapsed = [row.id for row in found if row.alive_until < row.now and row.id != node]
        living = {row.id for row in found if not row.lost and row.alive_until >= row.now}
        return Renewed(rows[0].now, min(living, default=node), lapsed, len(living - {node}))

    async def claim(self, node: int, stations: Collection[int]) -> dict[int, Claimed]:
        """Take these stations; none if the node was declared lost. What former holders wrote can be read then."""
        rows = await self._change(_CLAIM, node=node, stations=sorted(stations))
        for former in sorted({row.taken_from for row in rows if row.recent and row.taken_from is not None}):
            await self._database.lookups.rows(_WAIT, node=former)
        return {row.station_id: Claimed(row.epoch, row.taken_from if row.taken else None) for row in rows}

    async def changed(self, node: int, since: int) -> list[Changed]:
        """What changed since then (µs) of stations that this node holds, or held."""
        rows = await self._database.lookups.rows(_CHANGED, node=node, since=since)
        return [Changed(*row) for row in rows]

    async def holder(self, station_id: int) -> Holder | None:
        """Who holds the station now; None while it is not connected."""
        rows = await self._database.lookups.rows(_HOLDER, station=station_id)
        return Holder(*rows[0]) if rows else None

    async def bury(self, node: int, now: datetime) -> int:
        """Mark the stations of a node that is no more as away, tell of it once, and end its errands; how many."""
        await self._change(_LOSE, node=node)
        await self._database.lookups.rows(_WAIT, node=node)  # From here on nothing of its own is kept any longer.
        away, found = 0, _SLICE
        while found == _SLICE:
            found, told = await self._database.writer.run(lambda connection: _free(connection, node, now))
            away += told
        await self._database.writer.run(lambda connection: _end_errands(connection, node, now))
        return away

    async def _change(self, query: sa.Executable, **values: object) -> list[sa.Row]:
        return await self._database.lookups.change(query, **values)


def _free(connection: sa.Connection, node: int, now: datetime) -> tuple[int, int]:
    """Of the stations that the node held, the next ones: (how many, how many of them were connected)."""
    rows = connection.execute(_FREE, {"node": node, "most": _SLICE}).all()
    there = [row for row in rows if row.there]
    if there:
        ids = [row.station_id for row in there]
        gone_offline(connection, stations.c.id.in_(ids), now)
        connection.execute(_AWAY, {"stations": ids, "now": to_us(now)})
        event = msgspec.json.encode([StationDisconnected(at=now, reason="node lost")]).decode()
        told = [{"at": now, "operator": row.operator, "station": row.identity, "events": event} for row in there]
        connection.execute(sa.insert(outbox), told)
    return len(rows), len(there)


def _end_errands(connection: sa.Connection, node: int, now: datetime) -> None:
    """What became of the commands it had under way is unknown; they are not sent again.

    The number goes in the same transaction: none that saw it living adds an errand behind this one's back.
    """
    commands = [row.command_id for row in connection.execute(_END_ERRANDS, {"node": node})]
    if commands:
        settle_unknown(connection, commands, now)
    connection.execute(_FORGET, {"node": node})


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _sql(text: str, *arrays: str) -> sa.TextClause:
    query = sa.text(text)
    return query.bindparams(*(sa.bindparam(name, type_=sa.ARRAY(sa.BigInteger)) for name in arrays))


_JOIN = _sql(f"INSERT INTO nodes (name, alive_until) VALUES (:name, {_NOW} + :lease) RETURNING id")
_RENEW = _sql(
    f"UPDATE nodes SET alive_until = {_NOW} + :lease WHERE id = :node AND lost_at IS NULL RETURNING {_NOW} AS now"
)
_NODES = _sql(f"SELECT id, alive_until, lost_at IS NOT NULL AS lost, {_NOW} AS now FROM nodes")
_LOSE = _sql(f"UPDATE nodes SET lost_at = {_NOW} WHERE id = :node AND lost_at IS NULL RETURNING id")
_FORGET = _sql("DELETE FROM nodes WHERE id = :node")
_WAIT = _sql(f"SELECT pg_advisory_xact_lock({_LOCKS}, :node)").bindparams(sa.bindparam("node", type_=sa.Integer))
_CLAIM = _sql(
    f"""
    INSERT INTO holdings AS h (station_id, node, epoch, changed_at)
    SELECT id, :node, 1, 0 FROM unnest(:stations) AS id
    WHERE EXISTS (SELECT FROM nodes WHERE nodes.id = :node AND lost_at IS NULL) ORDER BY id
    ON CONFLICT (station_id) DO UPDATE SET node = excluded.node,
        epoch = CASE WHEN h.node IS NOT DISTINCT FROM excluded.node THEN h.epoch ELSE h.epoch + 1 END,
        taken_from = CASE WHEN h.node <> excluded.node THEN h.node ELSE h.taken_from END,
        changed_at = CASE WHEN h.node <> excluded.node THEN {_NOW.replace("clock_timestamp", "now")} ELSE h.changed_at END
    RETURNING station_id, epoch, taken_from, changed_at = {_NOW.replace("clock_timestamp", "now")} AS taken,
        changed_at > {_NOW} - {_RECENT} AS recent
    """,
    "stations",
).bindparams(sa.bindparam("node", type_=sa.Integer))
_CHANGED = _sql("""
    SELECT h.station_id, h.epoch, s.admission, s.strict
    FROM holdings h JOIN stations s ON s.id = h.station_id
    WHERE h.changed_at > :since AND (h.node = :node OR h.taken_from = :node)
""").bindparams(sa.bindparam("node", type_=sa.Integer))
_HOLDER = _sql("""
    SELECT h.node, s.version FROM holdings h JOIN stations s ON s.id = h.station_id
    WHERE h.station_id = :station AND h.node IS NOT NULL AND s.connected_at IS NOT NULL
""")
_FREE = _sql("""
    WITH held AS (SELECT h.station_id FROM holdings h WHERE h.node = :node ORDER BY h.station_id LIMIT :most FOR UPDATE)
    UPDATE holdings h SET node = NULL, epoch = h.epoch + 1
    FROM held JOIN stations s ON s.id = held.station_id JOIN operators o ON o.id = s.operator_id
    WHERE h.station_id = held.station_id
    RETURNING h.station_id, s.connected_at IS NOT NULL AS there, s.identity, o.name AS operator
""").bindparams(sa.bindparam("node", type_=sa.Integer))
_AWAY = _sql("UPDATE stations SET connected_at = NULL, last_seen_at = :now WHERE id = ANY(:stations)", "stations")
_END_ERRANDS = _sql("DELETE FROM errands WHERE node = :node RETURNING command_id").bindparams(
    sa.bindparam("node", type_=sa.Integer)
)
