"""The SQL of units for PostgreSQL: each statement writes any number of rows, whose columns are arrays.

Arrays go as the text of their literals: the driver would look at each element for 0.2 to 0.5 µs, which is more than all
else that a value costs the node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import count
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from csms.storage.nodes import UNHELD
from csms.storage.rows import (
    INSERT_CHANGE,
    INSERT_EVENTS,
    INSERT_SAMPLE,
    INSERT_SESSION,
    METER_SESSION,
    ORDER,
    UPDATE_SESSION,
    UPSERT_CONNECTOR,
    Rows,
    Statement,
    latest,
)

_ARRAYS = {
    sa.BigInteger: "bigint[]", sa.Integer: "bigint[]", sa.Float: "float8[]", sa.Boolean: "bool[]", sa.Text: "text[]",
    sa.String: "text[]",
}  # fmt: skip
# What most commits consist of, said together: to wait for a statement costs the node's core 30 to 100 µs. The others are
# not: each combination has to be prepared.
_OFTEN = frozenset({
    UPSERT_CONNECTOR, INSERT_CHANGE, INSERT_SESSION, METER_SESSION, UPDATE_SESSION, INSERT_SAMPLE, INSERT_EVENTS,
})  # fmt: skip

# Fails where somebody keeps units from being written.
LOCK_ALL = f"LOCK TABLE {', '.join(sorted({statement.table.name for statement in ORDER}))} IN ROW EXCLUSIVE MODE"


Steps = list[tuple[tuple[Statement, ...], list[str]]]


def steps_of(rows: Rows) -> Steps:
    """What is said together, in the order of the rows, and the columns of it all: `sql_of` and its parameters."""
    return [
        (statements, [column for statement in statements for column in _columns(statement, rows[statement])])
        for statements in _together(rows)
    ]


def _together(statements: Iterable[Statement]) -> Iterator[tuple[Statement, ...]]:
    """Those of one table stay apart: within one statement none sees what another one does."""
    group: list[Statement] = []
    for statement in statements:
        tables = {other.table for other in group}
        if group and (statement.table in tables or not _OFTEN.issuperset((*group, statement))):
            yield tuple(group)
            group = []
        group.append(statement)
    if group:
        yield tuple(group)


@cache
def sql_of(statements: tuple[Statement, ...], held: bool) -> str:
    """One statement for all of them, whose parameters are their columns; it finds one value.

    `held`: the first three parameters are those of UNHELD, and the value is what it finds, as pairs, or null.

    Events become settings of the transaction, which `INSERT_READY` inserts without parameters. So that can go with
    COMMIT: what it locks, nobody waits for longer than the commit itself takes.
    """
    places = count(4 if held else 1)
    found = [f"(SELECT array_agg(ARRAY[u.id, u.epoch]) FROM ({UNHELD}) AS u)" if held else "NULL"]
    parts = []
    for statement in statements:
        values = [f"${next(places)}::text" for _ in statement.columns]
        if statement is INSERT_EVENTS:
            found += (
                f"length(set_config({name}, {value}, true))" for name, value in zip(_SETTINGS, values, strict=True)
            )
        else:
            parts.append(f"{statement.table.name}_written AS ({_writing(statement, values)})")
    parts.reverse()  # PostgreSQL runs the latest first; in one order everywhere nobody waits for each other.
    return f"{'WITH ' if parts else ''}{', '.join(parts)} SELECT {', '.join(found)}"


def _columns(statement: Statement, rows: list[tuple]) -> list[str]:
    if statement.update or statement.upsert:
        # In one order on every node: then two that change the same rows never wait for each other.
        rows = sorted(latest(rows, statement.keys), key=itemgetter(*range(statement.keys)))
    columns = zip(_arrays(statement), zip(*rows, strict=True), strict=True)
    return [_texts(values) if kind == "text[]" else numbers(values) for kind, values in columns]


def numbers(values: Iterable[float | None]) -> str:
    """The literal of an array."""
    return "{" + str(list(values))[1:-1].replace("None", "NULL") + "}"


def _texts(values: Iterable[str | None]) -> str:
    quoted = ["NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in values]
    return "{" + ",".join(quoted) + "}"


def _writing(statement: Statement, values: Iterable[str]) -> str:
    table = statement.table.name
    arrays = ", ".join(f"{value}::{kind}" for value, kind in zip(values, _arrays(statement), strict=True))
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
def _arrays(statement: Statement) -> tuple[str, ...]:
    return tuple(_array(statement.table.c[column].type) for column in statement.columns)


def _array(kind: Any) -> str:
    if isinstance(kind, sa.TypeDecorator):
        kind = kind.impl
    return next(array for python, array in _ARRAYS.items() if isinstance(kind, python))


_SETTINGS = [f"'csms.{INSERT_EVENTS.table.name}_{column}'" for column in INSERT_EVENTS.columns]
INSERT_READY = _writing(INSERT_EVENTS, (f"current_setting({name})" for name in _SETTINGS))
