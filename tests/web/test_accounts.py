"""Users, their logins, keys: made, used, ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from csms.app import System
from csms.domain.rates import Meter
from csms.web.passwords import Guesses
from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSWORD = "correct horse battery"
LOGIN = "/api/v1/login"


@pytest.fixture(autouse=True)
def nobody_has_guessed(system: System) -> None:
    system.api.state.services.guesses = Guesses()


async def add_user(api, name: str = "ada", role: str = "viewer", **fields):
    made = await api.post("/api/v1/users", json={"name": name, "role": role, "password": PASSWORD} | fields)
    assert made.status_code == 201, made.text
    return made.json()


async def log_in(outside, name: str = "ada", password: str = PASSWORD, **fields) -> dict[str, str]:
    answer = await outside.post(LOGIN, json={"name": name, "password": password} | fields)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


# Keys


async def test_key_is_shown_once_and_opens_until_it_is_deleted(api, outside) -> None:
    made = (await api.post("/api/v1/api-keys", json={"name": "billing", "role": "viewer"})).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert (await outside.get("/api/v1/me", headers=headers)).json() == {
        "name": "billing", "kind": "key", "role": "viewer", "operator": None, "rights": ["read"],
    }  # fmt: skip
    listed = await api.get("/api/v1/api-keys", params={"sort": "-id"})
    assert listed.json()["items"][0]["name"] == "billing"
    assert made["key"] not in listed.text and listed.json()["items"][0]["key"] is None
    assert_problem(await api.post("/api/v1/api-keys", json={"name": "billing", "role": "admin"}), 409, "billing")
    assert (await api.delete(f"/api/v1/api-keys/{made['id']}")).status_code == 204
    assert_problem(await outside.get("/api/v1/me", headers=headers), 401)


async def test_key_that_has_expired_opens_nothing(api, outside) -> None:
    fields = {"name": "old", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}
    made = (await api.post("/api/v1/api-keys", json=fields)).json()
    assert_problem(await outside.get("/api/v1/me", headers={"Authorization": f"Bearer {made['key']}"}), 401)


async def test_admin_of_an_operator_gives_out_its_own_rights_only(api, outside) -> None:
    await api.put("/api/v1/operators/north", json={})
    made = (await api.post("/api/v1/api-keys", json={"name": "n", "role": "admin", "operator": "north"})).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    mine = await outside.post("/api/v1/api-keys", json={"name": "mine", "role": "viewer"}, headers=headers)
    assert (mine.status_code, mine.json()["operator"]) == (201, "north")
    foreign = {"name": "x", "role": "viewer", "operator": "default"}
    assert_problem(await outside.post("/api/v1/api-keys", json=foreign, headers=headers), 404)
    names = [item["name"] for item in (await outside.get("/api/v1/api-keys", headers=headers)).json()["items"]]
    assert names == ["n", "mine"]
    assert_problem(await api.post("/api/v1/api-keys", json=foreign | {"operator": "nobody"}), 404, "nobody")


# Users


async def test_user_logs_in_and_out(api, outside) -> None:
    await add_user(api)
    headers = await log_in(outside)
    me = (await outside.get("/api/v1/me", headers=headers)).json()
    assert (me["name"], me["kind"], me["role"]) == ("ada", "user", "viewer")
    assert_problem(await outside.put("/api/v1/tokens/T", json={}, headers=headers), 403, "viewer")
    assert (await outside.post("/api/v1/logout", headers=headers)).status_code == 204
    assert_problem(await outside.get("/api/v1/me", headers=headers), 401)


async def test_login_ends_by_itself(system, api, outside, monkeypatch) -> None:
    await add_user(api)
    headers = await log_in(outside)
    services = system.api.state.services
    later = services.clock() + timedelta(hours=13)
    monkeypatch.setattr(services, "clock", lambda: later)
    assert_problem(await outside.get("/api/v1/me", headers=headers), 401)


async def test_password_is_generated_shown_once_and_kept_as_argon2id(system, api, outside) -> None:
    made = await add_user(api, password=None)
    assert len(made["password"]) == 20
    async with system.database.reader.connect() as connection:
        kept = (await connection.exec_driver_sql("SELECT password_hash FROM users")).scalar_one()
    assert kept.startswith("$argon2id$") and made["password"] not in kept
    assert (await api.get(f"/api/v1/users/{made['id']}")).json()["password"] is None
    await log_in(outside, password=made["password"])


@pytest.mark.parametrize("fields", [{"password": "short"}, {"name": ""}, {"role": "root"}, {"name": "a\0"}])
async def test_user_that_is_none_is_refused(api, fields) -> None:
    assert_problem(await api.post("/api/v1/users", json={"name": "x", "role": "viewer"} | fields), 422, "body.")


async def test_change_of_role_password_or_state_ends_logins(api, outside) -> None:
    user = await add_user(api)
    for change in ({"role": "operator"}, {"password": PASSWORD}, {"disabled": True}):
        headers = await log_in(outside)
        assert (await api.patch(f"/api/v1/users/{user['id']}", json=change)).status_code == 200
        assert_problem(await outside.get("/api/v1/me", headers=headers), 401)
    assert_problem(await outside.post(LOGIN, json={"name": "ada", "password": PASSWORD}), 401)
    assert (await api.delete(f"/api/v1/users/{user['id']}")).status_code == 204


async def test_user_changes_its_own_password(api, outside) -> None:
    await add_user(api)
    headers = await log_in(outside)
    wrong = {"current": "not my password", "new": "another long password"}
    assert_problem(await outside.put("/api/v1/me/password", json=wrong, headers=headers), 422, "current")
    right = wrong | {"current": PASSWORD}
    assert (await outside.put("/api/v1/me/password", json=right, headers=headers)).status_code == 204
    assert_problem(await outside.get("/api/v1/me", headers=headers), 401)
    await log_in(outside, password="another long password")
    assert_problem(await api.put("/api/v1/me/password", json=right), 409)


async def test_guesses_at_ones_own_password_count_before_they_are_looked_at(api, outside) -> None:
    await add_user(api)
    headers = await log_in(outside)
    wrong = {"current": "not my password", "new": "another long password"}
    guesses = [outside.put("/api/v1/me/password", json=wrong, headers=headers) for _ in range(14)]
    answers = [answer.status_code for answer in await asyncio.gather(*guesses)]
    assert sorted(answers) == [422] * 10 + [429] * 4


async def test_users_of_operators_may_share_a_name(api, outside) -> None:
    for operator in ("east", "west"):
        await api.put(f"/api/v1/operators/{operator}", json={})
        await add_user(api, operator=operator)
    headers = await log_in(outside, operator="west")
    assert (await outside.get("/api/v1/me", headers=headers)).json()["operator"] == "west"
    assert_problem(await outside.post(LOGIN, json={"name": "ada", "password": PASSWORD}), 401)


async def test_guesses_are_slowed_down_by_address(system, api, outside) -> None:
    wrong = {"name": "nobody", "password": "guess"}
    assert_problem(await outside.post(LOGIN, json=wrong), 401)
    for _ in range(10):
        system.api.state.services.guesses.failed("127.0.0.1", (None, "somebody"), False)
    answer = await outside.post(LOGIN, json=wrong)
    assert_problem(answer, 429)
    assert 0 < int(answer.headers["retry-after"]) <= 13


async def test_nobody_is_locked_out_where_it_came_from_before(system, api, outside) -> None:
    """Others guessed so often, from elsewhere, that this user has to wait where it never was."""
    await add_user(api)
    guesses = system.api.state.services.guesses
    headers = await log_in(outside)
    for number in range(200):
        guesses.failed(f"192.0.2.{number}", (None, "ada"), False)
    assert guesses.wait("198.51.100.1", (None, "ada"), False) > 0
    await log_in(outside)
    assert (await outside.get("/api/v1/me", headers=headers)).status_code == 200


async def test_what_was_no_guess_does_not_count() -> None:
    meter = Meter(rate=1.0, burst=1)
    meter.take("a", 0.0)
    assert meter.wait("a", 0.0) > 0
    meter.give_back("a")
    meter.give_back("unknown")
    assert meter.wait("a", 0.0) == 0


async def test_many_logins_at_once_are_bounded(system, api, outside, monkeypatch) -> None:
    monkeypatch.setattr("csms.web.passwords._MOST_WAITING", 0)
    assert_problem(await outside.post(LOGIN, json={"name": "x", "password": "y"}), 503, "again")
