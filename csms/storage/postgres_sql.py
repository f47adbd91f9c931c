"""The SQL of units for PostgreSQL: each statement writes any number of rows, whose columns are arrays."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from csms.storage.rows import ORDER, Statement

_ARRAYS = {
    sa.BigInteger: "bigint[]", sa.Integer: "bigint[]", sa.Float: "float8[]", sa.Boolean: "bool[]",
    sa.LargeBinary: "bytea[]", sa.Text: "text[]", sa.String: "text[]",
}  # fmt: skip

# Fails where somebody keeps units from being written.
LOCK_ALL = f"LOCK TABLE {', '.join(sorted({statement.table.name for statement in ORDER}))} IN ROW EXCLUSIVE MODE"


@cache
def sql_of(statement: Statement) -> str:
    table = statement.table.name
    arrays = ", ".join(
        f"${number}::{_array(statement.table.c[column].type)}" for number, column in enumerate(statement.columns, 1)
    )
    names = [f'"{column}"' for column in statement.columns]
    if statement.update:
        moving = ", ".join(f"{name} = v.{name}" for name in names[statement.keys :])
        found = " AND ".join(f"{table}.{name} = v.{name}" for name in names[: statement.keys])
        return f"UPDATE {table} SET {moving} FROM unnest({arrays}) AS v({', '.join(names)}) WHERE {found}"
    sql = f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays})"
    if statement.upsert:
        moving = ", ".join(f"{name} = excluded.{name}" for name in names[statement.keys :])
        sql += f" ON CONFLICT ({', '.join(names[: statement.keys])}) DO UPDATE SET {moving}"
    return sql


@cache
def laid_ready(statement: Statement) -> tuple[str, str]:
    """An insert in two parts: rows become settings of the transaction, then they are inserted without parameters.

    So the second part can go with COMMIT: what it locks, nobody waits for longer than the commit itself takes.
    """
    table, kinds = statement.table, [_array(statement.table.c[column].type) for column in statement.columns]
    names = [f"'csms.{table.name}_{column}'" for column in statement.columns]
    ready = ", ".join(
        f"set_config({name}, ${number}::{kind}::text, true)"
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True), 1)
    )
    columns = ", ".join(f'"{column}"' for column in statement.columns)
    arrays = ", ".join(f"current_setting({name})::{kind}" for name, kind in zip(names, kinds, strict=True))
    return f"SELECT {ready}", f"INSERT INTO {table.name} ({columns}) SELECT * FROM unnest({arrays})"


def _array(kind: Any) -> str:
    if isinstance(kind, sa.TypeDecorator):
        kind = kind.impl
    return next(array for python, array in _ARRAYS.items() if isinstance(kind, python))
