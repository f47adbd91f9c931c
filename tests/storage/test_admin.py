"""What people change: created or changed, and said which."""

from __future__ import annotations

from csms.storage import admin
from csms.storage.accounts import Bearer, find_bearer
from tests.conftest import NOW


async def test_operator_is_created_once(database):
    first = await database.writer.run(admin.ensure_operator("one"))
    assert await database.writer.run(admin.ensure_operator("one")) == first
    assert await database.writer.run(admin.ensure_operator("two")) != first


async def test_station_is_created_then_changed(database, rows):
    operator = await database.writer.run(admin.ensure_operator("one"))
    assert await database.writer.run(admin.put_station(operator, "CS-1", {"strict": True}, NOW)) is True
    assert await database.writer.run(admin.put_station(operator, "CS-1", {"admission": "rejected"}, NOW)) is False
    assert await database.writer.run(admin.put_station(operator, "CS-1", {}, NOW)) is False
    assert await rows("SELECT identity, strict, admission FROM stations") == [("CS-1", 1, "rejected")]


async def test_many_stations_are_put_together(database):
    operator = await database.writer.run(admin.ensure_operator("one"))
    stations = [(f"CS-{number}", {}) for number in range(10)]
    assert await database.writer.run(admin.put_stations(operator, stations[:6], NOW)) == 6
    assert await database.writer.run(admin.put_stations(operator, stations, NOW)) == 4


async def test_T30_token_is_put_and_deleted_in_any_case(database, rows):
    operator = await database.writer.run(admin.ensure_operator("one"))
    assert await database.writer.run(admin.put_token(operator, "AbC", {"status": "accepted"}, NOW)) is True
    assert await database.writer.run(admin.put_token(operator, "aBc", {"status": "blocked"}, NOW)) is False
    assert await rows("SELECT value, folded, status FROM tokens") == [("aBc", "abc", "blocked")]
    assert await database.writer.run(admin.delete_token(operator, "ABC")) is True
    assert await database.writer.run(admin.delete_token(operator, "ABC")) is False


async def test_key_is_found_by_its_hash_until_it_gets_another(database):
    assert await database.writer.run(admin.has_keys) is False
    await database.writer.run(admin.put_key("admin", "admin", b"old", NOW))
    await database.writer.run(admin.put_key("admin", "viewer", b"new", NOW))
    assert await database.writer.run(find_bearer(b"old", NOW)) is None
    assert await database.writer.run(find_bearer(b"new", NOW)) == Bearer("admin", "viewer", None, "key")
    assert await database.writer.run(admin.has_keys) is True
