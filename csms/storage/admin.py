"""What people change: operators, stations, tokens and keys, each change one transaction of the writer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from csms.domain.tariffs import Tariff
from csms.domain.tokens import folded
from csms.storage.tables import api_keys, commands, operators, sessions, stations, tariffs, tokens

Job = Callable[[sa.Connection], Any]

DEFAULT_OPERATOR = "default"


def ensure_operator(name: str) -> Callable[[sa.Connection], int]:
    """The operator's id; it is created when it is new."""

    def job(connection: sa.Connection) -> int:
        found = connection.execute(sa.select(operators.c.id).where(operators.c.name == name)).scalar()
        if found is not None:
            return found
        return connection.execute(sa.insert(operators).values(name=name)).inserted_primary_key[0]

    return job


def put_station(operator_id: int, identity: str, changes: dict[str, Any], now: datetime) -> Callable[..., bool]:
    """Create the station or change what is given; True when it is new."""

    def job(connection: sa.Connection) -> bool:
        return _put_station(connection, operator_id, identity, changes, now)

    return job


def put_stations(operator_id: int, rows: list[tuple[str, dict[str, Any]]], now: datetime) -> Callable[..., int]:
    """Many stations in one transaction; returns how many are new."""

    def job(connection: sa.Connection) -> int:
        return sum(_put_station(connection, operator_id, identity, changes, now) for identity, changes in rows)

    return job


def _put_station(
    connection: sa.Connection, operator_id: int, identity: str, changes: dict[str, Any], now: datetime
) -> bool:
    same = sa.and_(stations.c.operator_id == operator_id, stations.c.identity == identity)
    found = connection.execute(sa.select(stations.c.id).where(same)).scalar()
    if found is None:
        connection.execute(
            sa.insert(stations).values(operator_id=operator_id, identity=identity, created_at=now, **changes)
        )
        return True
    if changes:
        connection.execute(sa.update(stations).where(stations.c.id == found).values(**changes))
    return False


def delete_station(number: int) -> Callable[[sa.Connection], bool]:
    """Forget a station and what it said of itself; False where sessions or commands of it are on record."""

    def job(connection: sa.Connection) -> bool:
        for table in (sessions, commands):
            if connection.execute(sa.select(table.c.id).where(table.c.station_id == number).limit(1)).first():
                return False
        connection.execute(sa.delete(stations).where(stations.c.id == number))
        return True

    return job


def put_token(operator_id: int, value: str, fields: dict[str, Any], now: datetime) -> Callable[..., bool]:
    """Create the token or replace its fields; True when it is new. The value is compared without case."""

    def job(connection: sa.Connection) -> bool:
        same = sa.and_(tokens.c.operator_id == operator_id, tokens.c.folded == folded(value))
        done = connection.execute(sa.update(tokens).where(same).values(value=value, **fields))
        if done.rowcount:
            return False
        connection.execute(
            sa.insert(tokens).values(
                operator_id=operator_id, folded=folded(value), value=value, created_at=now, **fields
            )
        )
        return True

    return job


def delete_token(operator_id: int, value: str) -> Callable[..., bool]:
    same = sa.and_(tokens.c.operator_id == operator_id, tokens.c.folded == folded(value))
    return lambda connection: bool(connection.execute(sa.delete(tokens).where(same)).rowcount)


def put_group(operator_id: int, name: str, values: list[str]) -> Callable[[sa.Connection], tuple[str | None, set[str]]]:
    """Make these tokens the group's, and no others; (a token that there is not: nothing was changed, whose changed)."""
    mine = tokens.c.operator_id == operator_id

    def job(connection: sa.Connection) -> tuple[str | None, set[str]]:
        held = _values(connection, sa.and_(mine, tokens.c.group == name))
        wanted = {folded(value): value for value in values}
        found = _values(connection, sa.and_(mine, tokens.c.folded.in_(wanted)))
        missing = next((value for key, value in wanted.items() if key not in found), None)
        if missing is not None:
            return missing, set()
        leaving, coming = held.keys() - found.keys(), found.keys() - held.keys()
        for keys, group in ((leaving, None), (coming, name)):
            if keys:
                connection.execute(sa.update(tokens).where(mine, tokens.c.folded.in_(keys)).values(group=group))
        return None, {held.get(key) or found[key] for key in leaving | coming}

    return job


def _values(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> dict[str, str]:
    """The tokens' values, by folded value."""
    query = sa.select(tokens.c.folded, tokens.c.value).where(condition)
    return {key: value for key, value in connection.execute(query)}


def add_tariff(operator_id: int, tariff: Tariff, now: datetime) -> Callable[[sa.Connection], bool]:
    """New prices from a moment on; False when others begin at that very moment."""

    def job(connection: sa.Connection) -> bool:
        same = sa.and_(tariffs.c.operator_id == operator_id, tariffs.c.valid_from == tariff.valid_from)
        if connection.execute(sa.select(tariffs.c.id).where(same)).first() is not None:
            return False
        fields = msgspec.structs.asdict(tariff)
        connection.execute(sa.insert(tariffs).values(operator_id=operator_id, created_at=now, **fields))
        return True

    return job


def put_key(
    name: str, role: str, key_hash: bytes, now: datetime, operator_id: int | None = None
) -> Callable[[sa.Connection], None]:
    """Create an API key or give the key of this name a new secret. Without operator it is good for all of them."""
    owner = api_keys.c.operator_id.is_(None) if operator_id is None else api_keys.c.operator_id == operator_id

    def job(connection: sa.Connection) -> None:
        fields = {"key_hash": key_hash, "role": role, "operator_id": operator_id}
        done = connection.execute(sa.update(api_keys).where(api_keys.c.name == name, owner).values(fields))
        if not done.rowcount:
            connection.execute(sa.insert(api_keys).values(name=name, created_at=now, **fields))

    return job


def has_keys(connection: sa.Connection) -> bool:
    return connection.execute(sa.select(sa.func.count()).select_from(api_keys)).scalar_one() > 0
