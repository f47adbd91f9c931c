"""Rows put in bulk: inserted, or changed where they are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from csms.storage.dialect import insert

Row = dict[str, Any]


def upsert(
    connection: sa.Connection, table: sa.Table, keys: Sequence[str], rows: Iterable[Row], keep: Sequence[str] = ()
) -> None:
    """Of rows with the same `keys` the last counts; columns to `keep` stay as they are where a row is there.

    Alike rows (of the same columns) go in one statement: to PostgreSQL with one array a column, so that a thousand cost
    one round trip; to SQLite row by row, which there is as fast.
    """
    groups: dict[tuple[str, ...], dict[tuple[Any, ...], Row]] = {}
    for row in rows:
        groups.setdefault(tuple(sorted(row)), {})[tuple(row[name] for name in keys)] = row
    for columns, alike in groups.items():
        arrays = connection.dialect.name == "postgresql"
        statement = insert(connection, table)
        if arrays:
            statement = statement.from_select(columns, _unnested(table, columns))
        moving = {name: statement.excluded[name] for name in columns if name not in (*keys, *keep)}
        conflict = (
            statement.on_conflict_do_update(index_elements=keys, set_=moving)
            if moving
            else statement.on_conflict_do_nothing(index_elements=keys)
        )
        found = list(alike.values())
        connection.execute(conflict, {name: [row[name] for row in found] for name in columns} if arrays else found)


def _unnested(table: sa.Table, columns: Sequence[str]) -> sa.Select:
    """The rows whose columns are the arrays that are given by name."""
    arrays = (sa.bindparam(name, type_=_array(table.c[name].type)) for name in columns)
    given = sa.func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
    return sa.select(*(given.c[name] for name in columns))


def _array(kind: sa.types.TypeEngine[Any]) -> postgresql.ARRAY[Any]:
    # Text without its bound: a cast to VARCHAR(n) would cut, where the column itself refuses what is too long.
    return postgresql.ARRAY(sa.Text() if isinstance(kind, sa.String) else kind)
