"""What people change of operators and locations, each change one transaction of the writer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from csms.storage.tables import (
    api_keys,
    bulk_commands,
    claims,
    commands,
    locations,
    operators,
    sessions,
    stations,
    tariffs,
    tokens,
    users,
    webhooks,
)  # fmt: skip

_OWNED = (locations, stations, sessions, tokens, tariffs, commands, bulk_commands, webhooks, users, api_keys)


def put_operator(name: str, fields: dict[str, Any]) -> Callable[[sa.Connection], bool]:
    """Create the operator or change what is given; True when it is new."""

    def job(connection: sa.Connection) -> bool:
        found = connection.execute(sa.select(operators.c.id).where(operators.c.name == name)).scalar()
        if found is None:
            connection.execute(sa.insert(operators).values(name=name, **fields))
        elif fields:
            connection.execute(sa.update(operators).where(operators.c.id == found).values(fields))
        return found is None

    return job


def delete_operator(number: int) -> Callable[[sa.Connection], str | None]:
    """Forget an operator that has nothing; else the name of something that it has."""

    def job(connection: sa.Connection) -> str | None:
        for table in _OWNED:
            if connection.execute(sa.select(table.c.operator_id).where(table.c.operator_id == number)).first():
                return table.name
        connection.execute(sa.delete(claims).where(claims.c.operator_id == number))  # Of tokens that are gone.
        connection.execute(sa.delete(operators).where(operators.c.id == number))
        return None

    return job


def put_location(operator_id: int, code: str, fields: dict[str, Any], now: datetime) -> Callable[..., bool]:
    """Create the location or replace its fields; True when it is new."""
    return lambda connection: _put_location(connection, operator_id, code, fields, now)


def put_locations(operator_id: int, rows: list[tuple[str, dict[str, Any]]], now: datetime) -> Callable[..., int]:
    """Many locations in one transaction; returns how many are new."""
    return lambda connection: sum(_put_location(connection, operator_id, code, fields, now) for code, fields in rows)


def delete_location(number: int) -> Callable[[sa.Connection], int]:
    """Forget a location where no station stands; else how many do."""

    def job(connection: sa.Connection) -> int:
        count = sa.select(sa.func.count()).where(stations.c.location_id == number)
        there = connection.execute(count).scalar_one()
        if not there:
            connection.execute(sa.delete(locations).where(locations.c.id == number))
        return there

    return job


def _put_location(
    connection: sa.Connection, operator_id: int, code: str, fields: dict[str, Any], now: datetime
) -> bool:
    same = sa.and_(locations.c.operator_id == operator_id, locations.c.code == code)
    if connection.execute(sa.update(locations).where(same).values(changed_at=now, **fields)).rowcount:
        return False
    connection.execute(
        sa.insert(locations).values(operator_id=operator_id, code=code, created_at=now, changed_at=now, **fields)
    )
    return True
