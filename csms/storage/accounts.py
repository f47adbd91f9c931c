"""Who may use the API: users, their logins, and keys; each change one transaction of the writer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from csms.storage.tables import api_keys, logins, operators, users

Job = Callable[[sa.Connection], Any]

_REMEMBERED = timedelta(days=90)  # How long where a user logged in from counts as usual.


class Bearer(NamedTuple):
    """Who a secret belongs to. `operator` None: good for all of them. `login`: of a user, not of a key."""

    name: str
    role: str
    operator: str | None
    kind: str
    user: int | None = None
    login: int | None = None


def find_bearer(secret_hash: bytes, now: datetime) -> Callable[[sa.Connection], Bearer | None]:
    """Whose key or login this is, as long as it holds."""
    of_key = (
        sa.select(api_keys.c.name, api_keys.c.role, operators.c.name.label("operator"))
        .join_from(api_keys, operators, isouter=True)
        .where(api_keys.c.key_hash == secret_hash)
        .where(sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now))
    )
    of_user = (
        sa.select(
            users.c.name, users.c.role, operators.c.name.label("operator"), users.c.id, logins.c.id.label("login")
        )
        .join_from(logins, users)
        .join(operators, users.c.operator_id == operators.c.id, isouter=True)
        .where(logins.c.token_hash == secret_hash, logins.c.expires_at > now, users.c.disabled.is_(False))
    )

    def look(connection: sa.Connection) -> Bearer | None:
        key = connection.execute(of_key).one_or_none()
        if key is not None:
            return Bearer(*key, "key")
        user = connection.execute(of_user).one_or_none()
        return None if user is None else Bearer(user.name, user.role, user.operator, "user", user.id, user.login)

    return look


def find_user(name: str, operator: str | None) -> sa.Select:
    """A user by what it logs in with."""
    query = sa.select(users, operators.c.name.label("operator")).join_from(users, operators, isouter=True)
    owner = operators.c.name == operator if operator is not None else users.c.operator_id.is_(None)
    return query.where(users.c.name == name, owner)


def add_user(fields: dict[str, Any], now: datetime) -> Callable[[sa.Connection], int | None]:
    """A new user's number; None where its operator has one of this name."""
    return _add(users, fields, now)


def add_key(fields: dict[str, Any], now: datetime) -> Callable[[sa.Connection], int | None]:
    """A new key's number; None where its operator has one of this name."""
    return _add(api_keys, fields, now)


def change_user(user_id: int, fields: dict[str, Any], now: datetime) -> Job:
    """Change a user; one that is disabled, or whose password or role changed, is logged out everywhere."""

    def job(connection: sa.Connection) -> None:
        if fields:
            connection.execute(sa.update(users).where(users.c.id == user_id).values(fields))
        if fields.keys() & {"disabled", "password_hash", "role"}:
            _end(connection, logins.c.user_id == user_id, now)

    return job


def delete_user(user_id: int) -> Job:
    return lambda connection: connection.execute(sa.delete(users).where(users.c.id == user_id)) and None


def delete_key(key_id: int) -> Job:
    return lambda connection: connection.execute(sa.delete(api_keys).where(api_keys.c.id == key_id)) and None


def add_login(user_id: int, token_hash: bytes, address: str, now: datetime, expires_at: datetime) -> Job:
    """A user is logged in from now on. What was forgotten long ago goes."""

    def job(connection: sa.Connection) -> None:
        old = sa.and_(logins.c.user_id == user_id, logins.c.expires_at < now - _REMEMBERED)
        connection.execute(sa.delete(logins).where(old))
        connection.execute(
            sa.insert(logins).values(
                user_id=user_id, token_hash=token_hash, address=address, created_at=now, expires_at=expires_at
            )
        )

    return job


def end_login(login_id: int, now: datetime) -> Job:
    return lambda connection: _end(connection, logins.c.id == login_id, now)


def came_from(user_id: int, address: str) -> sa.Select:
    """Whether the user has logged in from this address before."""
    return sa.select(logins.c.id).where(logins.c.user_id == user_id, logins.c.address == address)


def _add(table: sa.Table, fields: dict[str, Any], now: datetime) -> Callable[[sa.Connection], int | None]:
    def job(connection: sa.Connection) -> int | None:
        operator = fields["operator_id"]
        owner = table.c.operator_id.is_(None) if operator is None else table.c.operator_id == operator
        if connection.execute(sa.select(table.c.id).where(table.c.name == fields["name"], owner)).first() is not None:
            return None
        return connection.execute(sa.insert(table).values(created_at=now, **fields)).inserted_primary_key[0]

    return job


def _end(connection: sa.Connection, which: sa.ColumnElement[bool], now: datetime) -> None:
    held = sa.and_(which, logins.c.expires_at > now)
    connection.execute(sa.update(logins).where(held).values(expires_at=now))
