"""The audit log: every change and every try, with secrets masked."""

from __future__ import annotations

import pytest

from csms.domain.ports import StorageUnavailable
from csms.ocpp.catalogue import Version
from csms.web.audit import MASK, masked
from tests.cluster.line import JoinedLine
from tests.web.conftest import ADMIN_KEY, assert_problem, connect

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def latest(api, **params) -> list[dict]:
    return (await api.get("/api/v1/audit", params={"limit": 3} | params)).json()["items"]


async def test_change_is_told_with_who_what_on_what_and_when(api, outside) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    body = {"password": "correct-horse", "strict": True}
    await outside.put("/api/v1/stations/A%2F1", json=body, params={"operator": "north"}, headers=headers)
    entry = (await latest(api, actor="admin"))[0]
    assert {name: entry[name] for name in entry if name not in ("id", "at")} == {
        "actor": "admin", "actor_kind": "key", "operator": "north", "action": "PUT /api/v1/stations/{id}",
        "object": "/api/v1/stations/A%2F1", "outcome": "done", "address": "127.0.0.1",
        "detail": {"sent": {"password": MASK, "strict": True}},
    }  # fmt: skip


async def test_refused_try_is_told_too(api, outside) -> None:
    made = (await api.post("/api/v1/api-keys", json={"name": "looker", "role": "viewer"})).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert_problem(await outside.put("/api/v1/tokens/T", json={}, headers=headers), 403)
    assert_problem(await api.put("/api/v1/tokens/T", json={"status": "lost"}), 422)
    wrong, forbidden = await latest(api, action="PUT /api/v1/tokens/{value}", limit=2)
    assert (forbidden["actor"], forbidden["outcome"], forbidden["detail"]["status"]) == ("looker", "refused", 403)
    assert (wrong["actor"], wrong["detail"]) == ("owner", {"sent": {"status": "lost"}, "status": 422})


async def test_reading_and_strangers_leave_no_trace(api, outside) -> None:
    before = await latest(api)
    await api.get("/api/v1/stations")
    assert_problem(await outside.put("/api/v1/tokens/T", json={}), 401)
    assert await latest(api) == before


async def test_change_that_was_not_kept_leaves_no_entry_that_says_so(system, api, monkeypatch) -> None:
    def fail(job):
        raise StorageUnavailable("full")

    before = await latest(api)
    with monkeypatch.context() as patch:
        patch.setattr(system.database.writer, "run", fail)
        assert_problem(await api.put("/api/v1/tokens/T", json={}), 503)
    assert await latest(api) == before


async def test_change_that_was_refused_is_not_told_as_done(api) -> None:
    """What is found out within the transaction counts, too, and that an operator was made first does not."""
    user = {"name": "ada", "role": "viewer", "operator": "south"}
    await api.put("/api/v1/operators/south", json={})
    await api.post("/api/v1/users", json=user)
    await api.put("/api/v1/locations/L", json={"name": "L"})
    await api.put("/api/v1/stations/CS-1", json={"password": None, "location": "L"})
    for method, path, body, status in (
        ("POST", "users", user, 409), ("DELETE", "locations/L", None, 409), ("DELETE", "operators/south", None, 409),
        ("POST", "certificates/0a/revoke", None, 404),
    ):  # fmt: skip
        [before] = await latest(api, limit=1)
        assert_problem(await api.request(method, f"/api/v1/{path}", json=body), status)
        told = [entry for entry in await latest(api) if entry["id"] > before["id"]]
        assert [(entry["outcome"], entry["detail"]["status"]) for entry in told] == [("refused", status)]


async def test_command_is_told_without_its_payload(system, api) -> None:
    await api.put("/api/v1/stations/CS-1", json={"password": None})
    await connect(system, "CS-1", JoinedLine(Version.V16, lambda call: {"status": "Accepted"}))
    await api.post(
        "/api/v1/stations/CS-1/commands/ChangeConfiguration", json={"key": "AuthorizationKey", "value": "x" * 16}
    )
    [entry] = await latest(api, limit=1)
    assert (entry["action"], entry["outcome"]) == ("POST /api/v1/stations/{id}/commands/{action}", "done")
    assert entry["object"].endswith("/ChangeConfiguration") and "sent" not in entry["detail"]


async def test_failed_login_is_told(api, outside) -> None:
    assert_problem(await outside.post("/api/v1/login", json={"name": "eve", "password": "guess"}), 401)
    [entry] = await latest(api, limit=1)
    assert (entry["actor"], entry["outcome"], entry["detail"]["sent"]["password"]) == ("eve", "refused", MASK)


async def test_long_and_odd_bodies_are_told_by_their_size(api) -> None:
    await api.post("/api/v1/stations/import", content=b'{"id":"A","password":null}\n' * 2)
    [entry] = await latest(api, limit=1)
    assert entry["detail"]["sent"] == {"bytes": 54}


async def test_log_is_searched(api) -> None:
    await api.put("/api/v1/tokens/SOUGHT", json={})
    [entry] = await latest(api, object="/api/v1/tokens/SOUGHT", limit=1)
    assert await latest(api, object="/api/v1/tokens/SOUGHT", until=entry["at"]) == []
    assert await latest(api, operator="never-seen") == []


async def test_secrets_are_masked_wherever_they_are() -> None:
    sent = {
        "password": "a", "list": [{"webhook_secret": "b"}], "key": "AuthorizationKey", "value": "c",
        "variables": [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": "d"}],
        "configuration": {"AuthorizationKey": "e", "Interval": "5"}, "new": None,
    }  # fmt: skip
    assert masked(sent) == {
        "password": MASK, "list": [{"webhook_secret": MASK}], "key": "AuthorizationKey", "value": MASK,
        "variables": [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": MASK}],
        "configuration": {"AuthorizationKey": MASK, "Interval": "5"}, "new": None,
    }  # fmt: skip


async def test_credentials_within_addresses_and_codes_of_cards_are_masked() -> None:
    sent = {"location": "ftp://ann:pw@example.org/fw", "apn": {"simPin": 1234}}
    assert masked(sent) == {
        "location": "ftp://ann:********@example.org/fw", "apn": {"simPin": MASK},
    }  # fmt: skip
