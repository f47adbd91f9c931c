"""Resource `tokens`: who may charge."""

from __future__ import annotations

import pytest

from csms.storage import admin
from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKENS = "/api/v1/tokens"


async def test_token_is_made_then_replaced(api) -> None:
    made = await api.put(f"{TOKENS}/04A2", json={"type": "ISO14443", "group": "fleet"})
    assert made.status_code == 201
    assert made.json() == {
        "value": "04A2", "operator": "default", "type": "ISO14443", "status": "accepted", "effective_status": "accepted", "group": "fleet",
        "expires_at": None,
    }  # fmt: skip
    replaced = await api.put(f"{TOKENS}/04A2", json={"status": "blocked"})
    assert replaced.status_code == 200
    assert (replaced.json()["effective_status"], replaced.json()["group"]) == ("blocked", None)


async def test_value_is_compared_without_case(api) -> None:
    await api.put(f"{TOKENS}/04a2", json={})
    assert (await api.put(f"{TOKENS}/04A2", json={})).status_code == 200
    assert (await api.get(f"{TOKENS}/04a2")).json()["value"] == "04A2"
    assert len((await api.get(TOKENS)).json()["items"]) == 1


@pytest.mark.parametrize(
    ("expires_at", "effective"),
    [
        ("2020-01-01T00:00:00Z", "expired"),
        ("2020-01-01T00:00:00+05:30", "expired"),
        ("9999-12-31T23:59:59Z", "accepted"),
    ],
)
async def test_expiry_decides_what_a_station_is_told(api, expires_at, effective) -> None:
    token = (await api.put(f"{TOKENS}/TAG", json={"expires_at": expires_at})).json()
    assert (token["status"], token["effective_status"]) == ("accepted", effective)


@pytest.mark.parametrize(
    "expires_at",
    [
        "2027-01-01T00:00:00", "2027-01-01", "tomorrow", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", 1e300,
        -1e300, True,
    ],
)  # fmt: skip
async def test_expiry_that_is_no_moment_is_refused(api, expires_at) -> None:
    assert_problem(await api.put(f"{TOKENS}/TAG", json={"expires_at": expires_at}), 422, "expires_at")
    assert (await api.get(TOKENS)).json()["items"] == []


@pytest.mark.parametrize(
    "change", [{"status": "lost"}, {"type": "x" * 21}, {"group": "x" * 256}, {"value": "other"}, {"status": None}]
)
async def test_wrong_field_is_refused(api, change) -> None:
    assert_problem(await api.put(f"{TOKENS}/TAG", json=change), 422, "body.")


async def test_value_must_be_printable(api) -> None:
    for value in ("%20", "%00", "x" * 256, "a%0Ab", "%FF"):
        assert_problem(await api.put(f"{TOKENS}/{value}", json={}), 422, "printable")


async def test_token_is_deleted_in_any_case(api) -> None:
    await api.put(f"{TOKENS}/Tag", json={})
    assert (await api.delete(f"{TOKENS}/tAG")).status_code == 204
    assert_problem(await api.delete(f"{TOKENS}/Tag"), 404, "'Tag'")
    assert_problem(await api.get(f"{TOKENS}/Tag"), 404, "'Tag'", "PUT")


async def test_tokens_belong_to_an_operator(api) -> None:
    await api.put(f"{TOKENS}/TAG", json={}, params={"operator": "north"})
    assert_problem(await api.get(f"{TOKENS}/TAG"), 404, "'default'")
    assert (await api.get(f"{TOKENS}/TAG", params={"operator": "north"})).status_code == 200
    assert (await api.get(TOKENS, params={"operator": "nobody"})).json() == {"items": [], "next": None}


async def test_pages_follow_each_other(api) -> None:
    for value in ("c", "A", "b"):
        await api.put(f"{TOKENS}/{value}", json={})
    first = (await api.get(TOKENS, params={"limit": 2})).json()
    second = (await api.get(TOKENS, params={"limit": 2, "cursor": first["next"]})).json()
    assert [item["value"] for item in first["items"] + second["items"]] == ["A", "b", "c"]
    assert second["next"] is None


async def test_token_with_a_slash_is_one_name(api) -> None:
    made = await api.put(f"{TOKENS}/DE%2FABC%20%C3%9C%2F1", json={})
    assert (made.status_code, made.json()["value"]) == (201, "DE/ABC Ü/1")
    assert (await api.get(f"{TOKENS}/de%2fabc%20%C3%9C%2f1")).json() == made.json()
    assert (await api.delete(f"{TOKENS}/DE%2FABC%20%C3%9C%2F1")).status_code == 204


async def test_tokens_are_found_by_group_status_and_text(api) -> None:
    await api.put(f"{TOKENS}/A1", json={"group": "fleet"})
    await api.put(f"{TOKENS}/A2", json={"group": "fleet", "status": "blocked"})
    await api.put(f"{TOKENS}/B1", json={}, params={"operator": "north"})

    async def values(**params):
        return [item["value"] for item in (await api.get(TOKENS, params=params)).json()["items"]]

    assert await values() == ["A1", "A2", "B1"]
    assert await values(group="fleet", status="blocked") == ["A2"]
    assert await values(text="b") == ["B1"]
    groups = (await api.get("/api/v1/token-groups")).json()["items"]
    assert groups == [{"name": "fleet", "operator": "default", "tokens": 2}]


GROUP = "/api/v1/token-groups/fleet"


async def test_group_is_made_of_tokens_changed_and_dissolved(api) -> None:
    for value in ("A1", "A2", "A3"):
        await api.put(f"{TOKENS}/{value}", json={})
    assert_problem(await api.get(GROUP), 404, "'fleet'")
    made = await api.put(GROUP, json={"tokens": ["a1", "A2"]})
    assert (made.status_code, made.json()) == (201, {"name": "fleet", "operator": "default", "tokens": 2})

    changed = await api.put(GROUP, json={"tokens": ["A2", "A3"]})
    assert (changed.status_code, changed.json()["tokens"]) == (200, 2)
    assert [(await api.get(f"{TOKENS}/{value}")).json()["group"] for value in ("A1", "A2", "A3")] == [
        None, "fleet", "fleet",
    ]  # fmt: skip
    assert (await api.get(GROUP)).json() == changed.json()

    assert (await api.delete(GROUP)).status_code == 204
    assert_problem(await api.delete(GROUP), 404, "'fleet'")
    assert (await api.get(f"{TOKENS}/A2")).json()["group"] is None


async def test_group_with_a_token_that_is_not_there_changes_nothing(api) -> None:
    await api.put(f"{TOKENS}/A1", json={})
    await api.put(f"{TOKENS}/N1", json={}, params={"operator": "north"})
    for stranger in ("A9", "N1"):
        assert_problem(await api.put(GROUP, json={"tokens": ["A1", stranger]}), 422, stranger)
    assert (await api.get(f"{TOKENS}/A1")).json()["group"] is None


async def test_members_of_a_group_are_looked_up_anew(api, system) -> None:
    operator = await system.database.writer.run(admin.ensure_operator("default"))
    await api.put(f"{TOKENS}/A1", json={})
    assert (await system.records.token(operator, "A1")).group is None
    await api.put(GROUP, json={"tokens": ["A1"]})
    assert (await system.records.token(operator, "A1")).group == "fleet"
