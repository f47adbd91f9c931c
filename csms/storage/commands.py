"""The record of operators' commands: opened before anything is sent, settled once, with its event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from csms.domain.commands import Command
from csms.domain.events import CommandSettled
from csms.storage.database import Database
from csms.storage.tables import commands, operators, outbox, stations

_encode = msgspec.json.Encoder().encode


class CommandLog:
    """Writes commands through the writer and reads them back."""

    def __init__(self, database: Database):
        self._database = database

    async def opened(self, command: Command, operator_id: int, station_id: int) -> None:
        await self._database.writer.run(
            lambda connection: connection.execute(
                sa.insert(commands).values(
                    id=command.id, operator_id=operator_id, station_id=station_id, action=command.action,
                    request=_text(command.request), status=command.status, created_at=command.created_at,
                )
            )
        )  # fmt: skip

    async def settled(self, command: Command) -> None:
        """Record the final state and its event together; a command that is settled already stays as it is."""
        event = CommandSettled(at=command.settled_at, command=command.id, action=command.action, status=command.status)

        def job(connection: sa.Connection) -> None:
            done = connection.execute(
                sa.update(commands)
                .where(commands.c.id == command.id, commands.c.status == "pending")
                .values(
                    status=command.status, response=_text(command.response), error=_text(command.error),
                    sent_at=command.sent_at, settled_at=command.settled_at,
                )
            )  # fmt: skip
            if done.rowcount:
                connection.execute(
                    sa.insert(outbox).values(
                        at=command.settled_at, operator=command.operator, station=command.station,
                        events=_text([event]),
                    )
                )  # fmt: skip

        await self._database.writer.run(job)

    async def find(self, command_id: int) -> Command | None:
        query = (
            sa.select(commands, operators.c.name.label("operator"), stations.c.identity.label("station"))
            .join_from(commands, stations, commands.c.station_id == stations.c.id)
            .join(operators, commands.c.operator_id == operators.c.id)
            .where(commands.c.id == command_id)
        )
        async with self._database.reader.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _command(row)


def end_forgotten(connection: sa.Connection, now: datetime) -> None:
    """Commands that a killed server left open: what became of them is unknown, and they are not sent again."""
    query = (
        sa.select(commands.c.id, commands.c.action, operators.c.name.label("operator"), stations.c.identity)
        .join_from(commands, stations, commands.c.station_id == stations.c.id)
        .join(operators, commands.c.operator_id == operators.c.id)
        .where(commands.c.status == "pending")
    )
    for row in connection.execute(query).all():
        settled = sa.update(commands).where(commands.c.id == row.id).values(status="unknown", settled_at=now)
        connection.execute(settled)
        event = CommandSettled(at=now, command=row.id, action=row.action, status="unknown")
        told = {"at": now, "operator": row.operator, "station": row.identity, "events": _text([event])}
        connection.execute(sa.insert(outbox).values(told))


def _text(value: Any) -> str | None:
    return None if value is None else _encode(value).decode()


def _command(row: Any) -> Command:
    return Command(
        id=row.id, operator=row.operator, station=row.station, action=row.action,
        request=msgspec.json.decode(row.request), status=row.status,
        response=row.response and msgspec.json.decode(row.response),
        error=row.error and msgspec.json.decode(row.error),
        created_at=row.created_at, sent_at=row.sent_at, settled_at=row.settled_at,
    )  # fmt: skip
