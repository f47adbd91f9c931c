"""Listings: every order of each, page after page, on both engines; and cursors that are none."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
import sqlalchemy as sa

from csms.storage import admin, paging
from csms.storage.listings import ALL, AUDIT, LOCATIONS, SESSIONS, STATIONS, TOKENS
from csms.storage.paging import BadCursor, Paging
from csms.storage.queries import Queries
from csms.storage.tables import metadata, status_changes, to_us
from tests.conftest import NOW
from tests.storage.conftest import session, unit_of

ORDERS = [(name, order) for name, listing in ALL.items() for order in listing.orders]
ROWS = 7


@pytest.fixture
def queries(database) -> Queries:
    return Queries(database.reader)


def _value(column: sa.Column, number: int) -> Any:
    """Something for a column: many rows share what is not unique."""
    if column.name in ("folded", "value", "code", "identity", "name", "start_key", "key", "transaction_id", "serial"):
        return f"{column.name[0]}{'ab'[number % 2]}{number}"
    if column.name in ("readings", "flags", "data", "detail", "profile", "entries", "request"):
        return "[]"
    kind = column.type.impl if isinstance(column.type, sa.TypeDecorator) else column.type
    if column.name == "valid_from":
        return to_us(NOW) + number
    if column.name.endswith("at"):
        return to_us(NOW) + number // 3
    if isinstance(kind, sa.LargeBinary):
        return bytes([number])
    if isinstance(kind, sa.String):
        return "G"
    return 1.0 if isinstance(kind, sa.Float) else 1


def fill(connection: sa.Connection) -> None:
    """Some rows of everything, of two operators."""
    listed = {each for listing in ALL.values() for each in sa.sql.visitors.iterate(listing.query)}
    listed.add(status_changes)  # What the view `status_history` shows.
    for table in (table for table in metadata.sorted_tables if table in listed):
        for number in range(1, ROWS + 1):
            row = {column.name: _value(column, number) for column in table.c}
            for name in ("id", "profile_id", "reservation_id", "evse_id", "key_hash", "token_hash"):
                if name in table.c:
                    row[name] = bytes([number]) if name.endswith("hash") else number
            if "operator_id" in table.c:
                row["operator_id"] = 1 + number % 2
            if table.name in ("local_lists", "charging_profiles", "reservations", "certificates"):
                row["station_id"] = number
            names = ", ".join(f'"{name}"' for name in row)
            values = ", ".join(f":{name}" for name in row)
            row |= {name: bool(value) for name, value in row.items() if isinstance(table.c[name].type, sa.Boolean)}
            connection.execute(sa.text(f'INSERT INTO "{table.name}" ({names}) VALUES ({values})'), row)


async def test_pages_of_every_order_show_each_row_once(database, queries):
    await database.writer.run(fill)
    for name, order in ORDERS:
        listing = ALL[name]
        whole = await queries.page(listing, Paging(1000, sort=order, total=True))
        assert len(whole.rows) == whole.total > 0, name
        seen, cursor = [], None
        for _ in range(whole.total + 1):
            rows, cursor, _ = await queries.page(listing, Paging(2, cursor, order))
            seen += rows
            if cursor is None:
                break
        assert seen == whole.rows, (name, order)
        backwards = await queries.page(listing, Paging(1000, sort=order[1:] if order.startswith("-") else f"-{order}"))
        assert backwards.rows == whole.rows[::-1], (name, order)


async def test_listing_is_narrowed_to_an_operator(database, queries):
    await database.writer.run(fill)
    for name, listing in ALL.items():
        if listing.owner is not None:
            mine = await queries.page(listing, operator="na2")
            everybody = await queries.page(listing)
            assert 0 < len(mine.rows) < len(everybody.rows), name
            assert (await queries.page(listing, operator="nobody")).rows == []


FILTERS: dict[str, Any] = {
    "online": True, "active": True, "box": (-90.0, -180.0, 90.0, 180.0), "status": ("accepted", NOW), "since": NOW,
    "until": NOW, "started_from": NOW, "started_until": NOW, "kinds": ("G",), "session": 1, "evse": 1,
    "connector": 1,
}  # fmt: skip


async def test_every_filter_can_be_asked_for(database, queries):
    """What it finds is each resource's own test; here it is understood by both engines."""
    for name, listing in ALL.items():
        for filter in listing.filters:
            value = FILTERS.get(filter, "G")
            if filter == "status" and name != "reservations":
                value = "accepted"
            if filter == "station" and name in ("reported", "station_log", "status_history"):
                value = 1
            assert (await queries.page(listing, Paging(total=True), **{filter: value})).total is not None, (
                name,
                filter,
            )


async def test_total_is_counted_up_to_a_bound(database, queries, station, monkeypatch):
    monkeypatch.setattr(paging, "MOST_COUNTED", 2)
    await database.writer.commit(unit_of(station, *[session(id) for id in range(5)]))
    assert (await queries.page(SESSIONS, Paging(1, total=True))).total == 3  # More than are counted.
    assert (await queries.page(SESSIONS, Paging(1))).total is None


async def test_text_is_found_whatever_the_case_and_means_itself(database, queries):
    operator = await database.writer.run(admin.ensure_operator("one"))
    for value in ("A_B", "AXB", "100%", "100"):
        await database.writer.run(admin.put_token(operator, value, {"status": "accepted"}, NOW))

    async def found(text: str) -> list[str]:
        return [row["value"] for row in (await queries.page(TOKENS, text=text)).rows]

    assert await found("a_b") == ["A_B"]
    assert await found("00%") == ["100%"]
    assert await found("\\") == []


async def test_text_of_one_or_two_characters_is_what_a_value_begins_with(database, queries):
    operator = await database.writer.run(admin.ensure_operator("one"))
    for value, group in (("CP-1", None), ("XCP", "Lorries"), ("Z", "cpo")):
        await database.writer.run(admin.put_token(operator, value, {"status": "accepted", "group": group}, NOW))

    async def found(text: str) -> list[str]:
        return [row["value"] for row in (await queries.page(TOKENS, text=text)).rows]

    assert await found("cp") == ["CP-1", "Z"]
    assert await found("cp-") == ["CP-1"]
    assert await found("L") == ["XCP"]


# Few of many


@pytest.mark.parametrize("most", [0, 3, 1_000])
async def test_pages_are_the_same_whether_few_or_many_match(database, queries, monkeypatch, most: int):
    monkeypatch.setattr("csms.storage.queries.MOST_FEW", most)
    operator = await database.writer.run(admin.ensure_operator("one"))
    for number in range(7):
        fields = {"vendor": "odd" if number % 2 else "even"}
        await database.writer.run(admin.put_station(operator, f"CP-{number}", fields, NOW))
    first = await queries.page(STATIONS, Paging(2, sort="-id", total=True), "one", vendor="odd")
    assert ([row["id"] for row in first.rows], first.total) == (["CP-5", "CP-3"], 3)
    second = await queries.page(STATIONS, Paging(2, first.next, sort="-id", total=True), "one", vendor="odd")
    assert ([row["id"] for row in second.rows], second.next, second.total) == (["CP-1"], None, 3)
    assert (await queries.page(STATIONS, Paging(), "another", vendor="odd")).rows == []


# Cursors


def cursor_of(*parts: Any) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "=", "ä", "null", "9" * 5000, cursor_of(), cursor_of("-started_at"), cursor_of("-started_at", 1),
        cursor_of("-started_at", 1, 2, 3), cursor_of("started_at", 1, 2), cursor_of("-started_at", "1", 2),
        cursor_of("-started_at", 1, 2.5), cursor_of("-started_at", 1, None), cursor_of("-started_at", 1, 10**30),
        cursor_of("-started_at", 1, 2**63), cursor_of("-started_at", 1, True), cursor_of("-started_at", [1], 2),
    ],
)  # fmt: skip
async def test_bad_cursor_is_named(queries, cursor):
    with pytest.raises(BadCursor, match="leave it away"):
        await queries.page(SESSIONS, Paging(cursor=cursor))


@pytest.mark.parametrize("text", ["\0", "'; DROP TABLE stations; --", "\ud800"])
async def test_hostile_text_in_a_cursor_finds_nothing_or_is_named(queries, text):
    try:
        assert (await queries.page(LOCATIONS, Paging(cursor=cursor_of("id", f"zz{text}", 1)))).rows == []
    except BadCursor:
        assert not text.isprintable()


async def test_cursor_beyond_all_times_finds_everything(database, queries, station):
    await database.writer.commit(unit_of(station, session(1)))
    last = (1 << 63) - 1
    assert len((await queries.page(SESSIONS, Paging(cursor=cursor_of("-started_at", last, 1)))).rows) == 1
    assert len((await queries.page(STATIONS, Paging(cursor=cursor_of("created_at", -last, 1)))).rows) == 1


async def test_audit_log_is_only_appended_to(database):
    await database.writer.run(fill)
    for change in ("UPDATE audit SET outcome = 'done'", "DELETE FROM audit"):
        with pytest.raises(sa.exc.DBAPIError, match="only appended to"):
            await database.writer.run(lambda connection, change=change: connection.exec_driver_sql(change) and None)
    assert len((await Queries(database.reader).page(AUDIT)).rows) == ROWS
