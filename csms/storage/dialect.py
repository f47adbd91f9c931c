"""What SQLite and PostgreSQL say in different words, each in one place."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class json_row(FunctionElement):
    """The columns of a row as one JSON array."""

    type = sa.Text()
    inherit_cache = True


class json_rows(FunctionElement):
    """All rows as one JSON array; an empty one where there are none."""

    type = sa.Text()
    inherit_cache = True


class as_json(FunctionElement):
    """Text that holds JSON, as a part of other JSON."""

    type = sa.Text()
    inherit_cache = True


@compiles(json_row, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **options)})"


@compiles(json_row, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_build_array({compiler.process(element.clauses, **options)})"


@compiles(json_rows, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **options)})"


@compiles(json_rows, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"coalesce(json_agg({compiler.process(element.clauses, **options)}), '[]'::json)::text"


@compiles(as_json, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"json({compiler.process(element.clauses, **options)})"


@compiles(as_json, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})::json"


class _pair(FunctionElement):
    """One side of a pair of keys: `value` is a JSON array of two."""

    type = sa.Text()
    inherit_cache = True
    place = 0


class first_text(_pair):
    inherit_cache = True


class first_number(_pair):
    type = sa.BigInteger()
    inherit_cache = True


class second_text(_pair):
    inherit_cache = True
    place = 1


@compiles(_pair, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **options)}, '$[{element.place}]')"


@compiles(_pair, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    text = f"({compiler.process(element.clauses, **options)} ->> {element.place})"
    return f"{text}::bigint" if isinstance(element, first_number) else text


class _each(FunctionElement):
    """The elements of a JSON array, as a table with one column."""

    name = "each"
    inherit_cache = True


@compiles(_each, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_each, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_array_elements(({compiler.process(element.clauses, **options)})::json)"


def pairs(name: str) -> Any:
    """The parameter `name`, a JSON array of pairs of keys, as a table to join (its column is `value`).

    For `(a, b) IN (…)`, or `b IN (…)` alone, SQLite scans all rows, not an index.
    """
    return _each(sa.bindparam(name, type_=sa.Text())).table_valued("value")


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that may say what to do about a row that is there."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
