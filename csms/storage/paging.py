"""One way to list anything: filters, an order, and a cursor that goes on behind the last row that was shown.

A page is found by what its first row follows, never by counting rows: what is added or removed meanwhile neither repeats
nor hides a row, and the thousandth page costs what the first does (given an index for the order).
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from csms.storage.dialect import Numbers, one_of
from csms.storage.tables import operators

Row = Mapping[str, Any]
Condition = Callable[[Any], sa.ColumnElement[bool]]

MOST_FEW = 10_000  # Rows that are rather sorted; with more, one of a hundred is soon found in the order of an index.
MOST_COUNTED = 100_000  # Rows: counting more takes long, and nobody needs to know.
_MOST_INT = (1 << 63) - 1  # What fits into a column.


@dataclass(frozen=True)
class Listing:
    """A read model that is shown page by page.

    `sorts`: what it may be sorted by, each the columns that tell any two rows apart; none of them is ever null, and each
    wants an index, alone and behind `owner`. `owner`: the column with the operator a row belongs to. `id`: the
    number of its rows, where one table alone has it, the owner and what is filtered by. `rare`: filters that may leave few
    of many rows: each has an index that finds those numbers, in no order. `along`: a column of a joined table that always
    equals the first one of each sort; a cursor bounds it too, or that table would be read from its beginning.
    """

    query: sa.Select
    sorts: Mapping[str, tuple[sa.ColumnElement[Any], ...]]
    default: str
    owner: sa.ColumnElement[Any] | None = None
    filters: Mapping[str, Condition] = field(default_factory=dict)
    shape: Callable[[Row], Row] = dict
    id: sa.ColumnElement[Any] | None = None
    rare: frozenset[str] = frozenset()
    along: sa.ColumnElement[Any] | None = None

    @property
    def orders(self) -> tuple[str, ...]:
        """What may be asked for as `sort`."""
        return tuple(sign + name for name in self.sorts for sign in ("", "-"))


class Paging(NamedTuple):
    """Which part of a listing is asked for. `sort`: a name of the listing's, with `-` in front for descending."""

    limit: int = 100
    cursor: str | None = None
    sort: str | None = None
    total: bool = False


FIRST_PAGE = Paging()


class Page(NamedTuple):
    """`next`: the cursor to ask for what follows, None on the last page. `total`: beyond `MOST_COUNTED` there are more."""

    rows: list[Row]
    next: str | None
    total: int | None = None


_NOT_OURS = (
    "The cursor is not one that this API gave out for this listing and sort; leave it away to start at the beginning."
)


class BadCursor(ValueError):
    """The cursor was not made by this API, or for another order: start again without one."""

    def __init__(self, told: str = _NOT_OURS):
        super().__init__(told)


class Selected(NamedTuple):
    """The statements that answer for a page.

    `few`: the numbers of all rows that it is a part of, where they may be few (up to one more than `MOST_FEW`); `among`:
    the page out of those (parameter `few`). A planner takes it that rows which match stand anywhere in the order; where
    they stand together it would look through a million for a hundred. So it is not asked where they are few.
    """

    rows: sa.Select
    total: sa.Select
    few: sa.Select | None = None
    among: sa.Select | None = None


def select(listing: Listing, paging: Paging, owner: int | None = None, **given: Any) -> Selected:
    """`owner`: the number of the operator whose rows are wanted; None: everybody's.

    `given`: by name of a filter; None: not filtered by it.
    """
    conditions = [listing.filters[name](value) for name, value in given.items() if value is not None]
    if owner is not None and listing.owner is not None:
        conditions.append(listing.owner == owner)
    found = listing.query.where(*conditions)
    numbers = None if listing.id is None else sa.select(listing.id).where(*conditions)
    counted = found.with_only_columns(sa.literal(1), maintain_column_froms=True) if numbers is None else numbers
    total = sa.select(sa.func.count()).select_from(counted.limit(MOST_COUNTED + 1).subquery())
    rows = _part(listing, paging, found)
    if not any(given.get(name) is not None for name in listing.rare):
        return Selected(rows, total)
    among = listing.query.where(one_of(listing.id, sa.bindparam("few", type_=Numbers())))
    return Selected(rows, total, numbers.limit(MOST_FEW + 1), _part(listing, paging, among, sort=True))


def _part(listing: Listing, paging: Paging, query: sa.Select, *, sort: bool = False) -> sa.Select:
    """The page that is asked for, out of what a query finds, and one row more; `sort`: by no index."""
    order = paging.sort or listing.default
    columns = [_plain(column) for column in listing.sorts[order.removeprefix("-")]]
    if sort:  # Never null: it is the same, but an expression that no index has.
        columns = [sa.func.coalesce(column, column) for column in columns]
    if paging.cursor is not None:
        query = query.where(_behind(columns, order, paging.cursor, listing.along))
    ordered = [column.desc() if order.startswith("-") else column.asc() for column in columns]
    places = (column.label(f"_{place}") for place, column in enumerate(columns))
    return query.add_columns(*places).order_by(*ordered).limit(paging.limit + 1)


def page(listing: Listing, paging: Paging, rows: list[Row], total: int | None) -> Page:
    """What was found by `select`, as a page."""
    sort = paging.sort or listing.default
    shown, following = rows[: paging.limit], None
    if len(rows) > paging.limit:
        last = shown[-1]
        following = _cursor(sort, [last[f"_{place}"] for place in range(len(listing.sorts[sort.removeprefix("-")]))])
    return Page([listing.shape(row) for row in shown], following, total)


def operator_id(name: str) -> sa.ScalarSelect[Any]:
    """The operator's number, found first: an index that begins with it then gives the order, too."""
    return sa.select(operators.c.id).where(operators.c.name == name).scalar_subquery()


def _plain(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """As the database has it: a cursor holds numbers and texts."""
    if isinstance(column.type, sa.String | sa.Text):
        return column
    return sa.type_coerce(column, sa.BigInteger)


def _behind(
    columns: list[sa.ColumnElement[Any]], sort: str, cursor: str, along: sa.ColumnElement[Any] | None
) -> sa.ColumnElement[bool]:
    values = _values(columns, sort, cursor)
    literals = [sa.literal(value, column.type) for value, column in zip(values, columns, strict=True)]
    falling = sort.startswith("-")
    place, last = (columns[0], literals[0]) if len(columns) == 1 else (sa.tuple_(*columns), sa.tuple_(*literals))
    behind = place < last if falling else place > last
    if along is None:
        return behind
    return sa.and_(behind, along <= literals[0] if falling else along >= literals[0])


def _cursor(sort: str, values: list[Any]) -> str:
    return urlsafe_b64encode(msgspec.json.encode([sort, *values])).decode().rstrip("=")


def _values(columns: list[sa.ColumnElement[Any]], sort: str, cursor: str) -> list[Any]:
    """What stands in a cursor, as far as it can have been made for this order."""
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        found = msgspec.json.decode(urlsafe_b64decode(padded), type=list[int | str])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise BadCursor from None
    kinds = [str if isinstance(column.type, sa.String | sa.Text) else int for column in columns]
    values = found[1:]
    if found[:1] != [sort] or [type(value) for value in values] != kinds:
        raise BadCursor
    if any(abs(value) > _MOST_INT if isinstance(value, int) else "\0" in value for value in values):
        raise BadCursor
    return values
