"""What SQLite and PostgreSQL say in different words, each in one place."""

from __future__ import annotations

from typing import Any

import msgspec
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


class searched(FunctionElement):
    """The texts of some columns below each other, in small letters: what is looked for stands in it.

    In PostgreSQL a function of ours (migration 0016): it has an index of trigrams, and its planner knows what it costs.
    """

    type = sa.Text()
    inherit_cache = True


@compiles(searched, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    parts = (f"coalesce({compiler.process(column, **options)}, '')" for column in element.clauses)
    return f"lower({' || char(10) || '.join(parts)})"


@compiles(searched, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"csms_searched({compiler.process(element.clauses, **options)})"


class Numbers(sa.TypeDecorator[list[int]]):
    """Many numbers as one parameter."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else postgresql.ARRAY(sa.BigInteger()))

    def process_bind_param(self, value: list[int] | None, dialect: Any) -> Any:
        return msgspec.json.encode(value).decode() if dialect.name == "sqlite" else value


class one_of(FunctionElement):
    """Whether a column's number is one of many: `one_of(column, sa.bindparam(name, type_=Numbers()))`."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(one_of, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    column, given = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({given}))"


@compiles(one_of, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    column, given = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY ({given})"


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
