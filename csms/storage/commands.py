"""The record of operators' commands: opened before anything is sent, settled once, with its event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from csms.blocks.asking import LIST, Path, with_ids
from csms.domain.asked import Change
from csms.domain.commands import Command
from csms.domain.events import CommandSettled
from csms.domain.ports import StorageUnavailable
from csms.storage.changes import keep, next_id, next_list_version
from csms.storage.database import Database
from csms.storage.listings import COMMAND
from csms.storage.paging import Row
from csms.storage.tables import commands, operators, outbox, stations

_SLICE = 1_000  # Ids in one question: databases have a limit, at some 32,000.
_encode = msgspec.json.Encoder().encode
_JSON = ("request", "response", "error")
_AS_THEY_ARE = tuple(name for name in Command.__struct_fields__ if name not in _JSON)
_LIVES = "EXISTS (SELECT FROM nodes WHERE id = :node AND lost_at IS NULL)"
_ERRAND = sa.text(f"INSERT INTO errands (command_id, node) SELECT :command, :node WHERE {_LIVES}")
_ERRAND_DONE = sa.text("DELETE FROM errands WHERE command_id = :command AND node = :node")
_TAKE_OVER = sa.text("UPDATE errands SET node = :node WHERE command_id = :command AND node = :origin AND NOT revoked")
_ALIVE = sa.text(f"SELECT {_LIVES}")
_REVOKE = sa.text("UPDATE errands SET revoked = true WHERE command_id = :command AND node = :node")
_FORGET_ERRANDS = sa.text("DELETE FROM errands e WHERE NOT EXISTS (SELECT FROM nodes n WHERE n.id = e.node)")


_LOST = "the other nodes take this one for lost"
_NO_NODE = "this process is none of the nodes now"

# What has to hold, and is done, in the transaction that records the command of this id.
Claim = Callable[[sa.Connection, int], bool]


class Taken(Exception):
    """Somebody else does this already, or it is not to be done any more: nothing was recorded or sent."""


class CommandLog:
    """Writes commands through the writer and reads them back.

    Of several nodes each open command is the errand of one that lives: who buries a node ends its errands.
    """

    def __init__(self, database: Database, node: Callable[[], int | None] | None = None):
        """`node`: the number of this node, where there are several: whose errand each command is, is kept then."""
        self._database = database
        self._node = node

    async def opened(
        self, command: Command, operator_id: int, station_id: int, lacking: tuple[Path, ...] = (),
        password_hash: bytes | None = None, claim: Claim | None = None,
    ) -> int | None:  # fmt: skip
        """Record a command before it is sent, as this node's errand. Where its request lacks an id of ours (`lacking`: its
        places): the id.

        `password_hash`: of the new password in it, which may hold from the moment it is sent. `claim`: done with the
        record; `Taken`, and no record, where it is False.
        """

        several, node = self._node is not None, self.node()

        def job(connection: sa.Connection) -> int | None:
            if claim is not None and not claim(connection, command.id):
                raise Taken
            request, number = command.request, None
            if lacking:
                is_list = command.action == LIST
                number = next_list_version(connection, station_id) if is_list else next_id(connection)
                request = with_ids(request, lacking, number)
            if password_hash is not None:
                connection.execute(
                    sa.update(stations).where(stations.c.id == station_id).values(password_next=password_hash)
                )
            connection.execute(
                sa.insert(commands).values(
                    id=command.id, operator_id=operator_id, station_id=station_id, action=command.action,
                    request=_text(request), status=command.status, created_at=command.created_at,
                )
            )  # fmt: skip
            if several:
                errand = {"command": command.id, "node": node}
                if not connection.execute(_ERRAND, errand).rowcount:
                    raise StorageUnavailable(_LOST)
            return number

        return await self._database.writer.run(job)

    async def settled(self, command: Command, station_id: int, changes: Collection[Change] = ()) -> bool:
        """Record the final state, what it changed, and its event together; a settled command stays as it is.

        False when it is not this node's errand: who has it records how it ends.
        """
        event = CommandSettled(at=command.settled_at, command=command.id, action=command.action, status=command.status)

        def job(connection: sa.Connection) -> bool:
            if self._node is not None:
                mine = connection.execute(_ERRAND_DONE, {"command": command.id, "node": self.node()})
                if not mine.rowcount:
                    return False
            done = connection.execute(
                sa.update(commands)
                .where(commands.c.id == command.id, commands.c.status == "pending")
                .values(
                    status=command.status, response=_text(command.response), error=_text(command.error),
                    sent_at=command.sent_at, settled_at=command.settled_at,
                )
            )  # fmt: skip
            if done.rowcount:
                keep(connection, station_id, changes, command.settled_at)
                connection.execute(
                    sa.insert(outbox).values(
                        at=command.settled_at, operator=command.operator, station=command.station,
                        events=_text([event]),
                    )
                )  # fmt: skip

            return True

        return await self._database.writer.run(job)

    async def take_over(self, command_id: int, origin: int) -> bool:
        """Make the errand of the node `origin` ours; False when it is not its errand any longer. At most one takes it."""
        values = {"command": command_id, "origin": origin, "node": self.node()}

        def job(connection: sa.Connection) -> bool:
            if not connection.execute(_ALIVE, values).scalar_one():
                raise StorageUnavailable(_LOST)
            return bool(connection.execute(_TAKE_OVER, values).rowcount)

        return await self._database.writer.run(job)

    async def revoked(self, command_id: int) -> bool:
        """Make sure that no other node takes the errand: it stays ours. False when one has taken it already."""
        values = {"command": command_id, "node": self._node()}
        return await self._database.writer.run(lambda connection: bool(connection.execute(_REVOKE, values).rowcount))

    def node(self) -> int | None:
        """Whose errand a command is that is opened or taken over now; None where no others are.

        StorageUnavailable: this process is none of the nodes for the moment.
        """
        if self._node is None:
            return None
        number = self._node()
        if number is None:
            raise StorageUnavailable(_NO_NODE)
        return number

    async def find(self, command_id: int) -> Command | None:
        query = COMMAND.where(commands.c.id == command_id)
        async with self._database.reader.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else command_from(row._mapping)


def end_forgotten(connection: sa.Connection, now: datetime) -> None:
    """Commands that a killed server left open: what became of them is unknown, and they are not sent again.

    Of several nodes only those that are no errand of a node, nor will be.
    """
    pending = sa.select(commands.c.id).where(commands.c.status == "pending")
    if connection.dialect.name != "sqlite":
        connection.execute(_FORGET_ERRANDS)
        pending = pending.where(sa.text("NOT EXISTS (SELECT FROM errands e WHERE e.command_id = commands.id)"))
    settle_unknown(connection, list(connection.execute(pending).scalars()), now)


def end_lost(connection: sa.Connection, before: datetime, now: datetime, most: int) -> int:
    """End commands that have been open since longer than anybody can wait: whoever had them under way is no more."""
    lost = sa.select(commands.c.id).where(commands.c.status == "pending", commands.c.created_at < before)
    ids = list(connection.execute(lost.order_by(commands.c.created_at).limit(most)).scalars())
    settle_unknown(connection, ids, now)
    return len(ids)


def settle_unknown(connection: sa.Connection, ids: Sequence[int], now: datetime) -> None:
    """End these commands where they are still open."""
    for first in range(0, len(ids), _SLICE):
        _settle_unknown(connection, ids[first : first + _SLICE], now)


def _settle_unknown(connection: sa.Connection, ids: Sequence[int], now: datetime) -> None:
    query = (
        sa.select(commands.c.id, commands.c.action, operators.c.name.label("operator"), stations.c.identity)
        .join_from(commands, stations, commands.c.station_id == stations.c.id)
        .join(operators, commands.c.operator_id == operators.c.id)
        .where(commands.c.status == "pending", commands.c.id.in_(ids))
    )
    for row in connection.execute(query).all():
        settled = sa.update(commands).where(commands.c.id == row.id).values(status="unknown", settled_at=now)
        connection.execute(settled)
        event = CommandSettled(at=now, command=row.id, action=row.action, status="unknown")
        told = {"at": now, "operator": row.operator, "station": row.identity, "events": _text([event])}
        connection.execute(sa.insert(outbox).values(told))


def _text(value: Any) -> str | None:
    return None if value is None else _encode(value).decode()


def command_from(row: Row) -> Command:
    """A command as a row of its read model tells it."""
    told = {name: row[name] for name in _AS_THEY_ARE}
    return Command(**told, **{name: row[name] and msgspec.json.decode(row[name]) for name in _JSON})
