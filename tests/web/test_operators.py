"""Resource `operators`: who shares the system."""

from __future__ import annotations

import pytest

from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPERATORS = "/api/v1/operators"


async def test_operator_is_made_changed_and_listed(api) -> None:
    made = await api.put(f"{OPERATORS}/blue", json={"display_name": "Blue Power"})
    assert (made.status_code, made.json()) == (201, {"name": "blue", "display_name": "Blue Power"})
    assert (await api.put(f"{OPERATORS}/blue", json={})).json()["display_name"] == "Blue Power"
    assert (await api.get(f"{OPERATORS}/blue")).json() == made.json()
    listed = (await api.get(OPERATORS, params={"text": "POWER"})).json()["items"]
    assert listed == [made.json()]


async def test_operator_that_has_something_stays(api) -> None:
    await api.put("/api/v1/tokens/TAG", json={}, params={"operator": "green"})
    assert_problem(await api.delete(f"{OPERATORS}/green"), 409, "tokens")
    await api.delete("/api/v1/tokens/TAG", params={"operator": "green"})
    hook = await api.post("/api/v1/webhooks", json={"url": "https://example.org"}, params={"operator": "green"})
    assert_problem(await api.delete(f"{OPERATORS}/green"), 409, "webhooks")
    await api.delete(f"/api/v1/webhooks/{hook.json()['id']}")
    assert (await api.delete(f"{OPERATORS}/green")).status_code == 204
    assert_problem(await api.get(f"{OPERATORS}/green"), 404, "green")
    assert_problem(await api.delete(f"{OPERATORS}/default"), 409)


@pytest.mark.parametrize("name", ["a:b", "a%2Fb", "%20", "x" * 49])
async def test_name_that_no_path_can_hold_is_refused(api, name) -> None:
    assert_problem(await api.put(f"{OPERATORS}/{name}", json={}), 422, "1 to 48")
