"""Keeps webhooks, and how far each has got."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from csms.domain.events import EventFilter, types_of
from csms.domain.webhooks import Webhook, subscriber
from csms.storage.database import Database
from csms.storage.paging import Listing, Row
from csms.storage.tables import operators, outbox, subscribers, webhooks

Job = Callable[[sa.Connection], Any]


class Progress(NamedTuple):
    """How far a webhook is, to be written down. `position`: None if it has not moved."""

    id: int
    revision: int
    position: int | None
    state: dict[str, Any]


class Webhooks:
    """Reads what was committed."""

    def __init__(self, database: Database):
        self._reader = database.reader

    async def enabled(self) -> list[Webhook]:
        return await self._found(_WEBHOOKS.where(webhooks.c.enabled.is_(True)).order_by(webhooks.c.id))

    async def find(self, id: int) -> Webhook | None:
        found = await self._found(_WEBHOOKS.where(webhooks.c.id == id))
        return found[0] if found else None

    async def lag(self, id: int) -> int:
        """How many entries of the outbox it has not confirmed yet."""
        newest = sa.select(sa.func.max(outbox.c.id)).scalar_subquery()
        query = sa.select(newest - subscribers.c.position).where(subscribers.c.name == subscriber(id))
        async with self._reader.connect() as connection:
            return max(0, (await connection.execute(query)).scalar() or 0)

    async def _found(self, query: sa.Select[Any]) -> list[Webhook]:
        async with self._reader.connect() as connection:
            return [webhook_from(row) for row in (await connection.execute(query)).mappings()]


def create(operator_id: int | None, fields: dict[str, Any], salt: bytes, now: datetime, most: int) -> Job:
    """Its id; None when there are `most` already. Its events begin now."""

    def job(connection: sa.Connection) -> int | None:
        if connection.execute(sa.select(sa.func.count()).select_from(webhooks)).scalar_one() >= most:
            return None
        row = {**_columns(fields), "operator_id": operator_id, "salt": salt, "revision": 1, "created_at": now}
        id = connection.execute(sa.insert(webhooks).values(row)).inserted_primary_key[0]
        newest = connection.execute(sa.select(sa.func.max(outbox.c.id))).scalar() or 0
        connection.execute(sa.insert(subscribers).values(name=subscriber(id), position=newest))
        return id

    return job


def change(id: int, fields: dict[str, Any]) -> Job:
    """Replace what is given; what failed is forgotten, so that it is tried at once."""

    def job(connection: sa.Connection) -> None:
        fresh = {"failures": 0, "error": None, "next_attempt_at": None, "revision": webhooks.c.revision + 1}
        connection.execute(sa.update(webhooks).where(webhooks.c.id == id).values(**_columns(fields), **fresh))

    return job


def delete(id: int) -> Job:
    """Nothing is kept for it any longer."""

    def job(connection: sa.Connection) -> None:
        connection.execute(sa.delete(webhooks).where(webhooks.c.id == id))
        connection.execute(sa.delete(subscribers).where(subscribers.c.name == subscriber(id)))

    return job


def advance(progress: Iterable[Progress]) -> Job:
    """Write down how far webhooks have got; how they are, unless they were changed meanwhile."""

    def job(connection: sa.Connection) -> None:
        for each in progress:
            same = sa.and_(webhooks.c.id == each.id, webhooks.c.revision == each.revision)
            connection.execute(sa.update(webhooks).where(same).values(each.state))
            if each.position is not None:
                own = sa.and_(subscribers.c.name == subscriber(each.id), subscribers.c.position < each.position)
                connection.execute(sa.update(subscribers).where(own).values(position=each.position))

    return job


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    listed = {
        name: msgspec.json.encode(list(fields[name])).decode() for name in ("types", "stations") if name in fields
    }
    return {**fields, **listed}


_WEBHOOKS = sa.select(webhooks, operators.c.name.label("operator")).outerjoin(operators)
WEBHOOKS = Listing(
    _WEBHOOKS, {"id": (webhooks.c.id,)}, "id", webhooks.c.operator_id,
    {"enabled": lambda enabled: webhooks.c.enabled.is_(enabled)},
)  # fmt: skip


def webhook_from(row: Row) -> Webhook:
    """What a row of `WEBHOOKS` tells of."""
    types, stations = (tuple(msgspec.json.decode(row[name])) for name in ("types", "stations"))
    alike = {
        name: row[name]
        for name in (
            "id", "operator", "url", "description", "salt", "enabled", "revision", "created_at", "failures", "error",
            "attempted_at", "delivered_at", "next_attempt_at",
        )
    }  # fmt: skip
    wanted = EventFilter(row["operator"], _types(types), frozenset(stations))
    return Webhook(types=types, wanted=wanted, **alike)


def _types(names: tuple[str, ...]) -> frozenset[str]:
    """A name that means nothing (any more) matches nothing, and is no reason to send everything."""
    try:
        return types_of(names)
    except ValueError:
        return frozenset(names)
