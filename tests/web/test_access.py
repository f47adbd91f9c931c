"""Who may use the API."""

from __future__ import annotations

import pytest

from csms.app import System
from csms.domain.credentials import Vault
from csms.storage import admin
from tests.conftest import NOW
from tests.web.conftest import ADMIN_KEY, assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_bearer_of_the_key_may(outside, scheme) -> None:
    response = await outside.get("/api/v1/totals", headers={"Authorization": f"{scheme} {ADMIN_KEY}"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {ADMIN_KEY}",
        ADMIN_KEY,
        f"Bearer {ADMIN_KEY}x",
        "Bearer \xe4\xff",
        "Bearer '--",
    ],
)
async def test_others_are_told_to_send_a_key(outside, header) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    response = await outside.get("/api/v1/totals", headers=headers)
    assert_problem(response, 401, "Authorization: Bearer")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_key_is_looked_for_under_the_hash_of_this_system(system: System, outside) -> None:
    """A table copied from another system, with another secret key, opens nothing."""
    foreign = Vault(b"the secret key of another system").key_hash("csms_foreign")
    await system.database.writer.run(admin.put_key("foreign", "admin", foreign, NOW))
    response = await outside.get("/api/v1/totals", headers={"Authorization": "Bearer csms_foreign"})
    assert_problem(response, 401)


async def test_role_of_a_key_bounds_what_it_may(system: System, outside) -> None:
    kept = system.vault.key_hash("csms_viewer")
    await system.database.writer.run(admin.put_key("viewer", "viewer", kept, NOW))
    headers = {"Authorization": "Bearer csms_viewer"}
    assert (await outside.get("/api/v1/totals", headers=headers)).status_code == 200
    assert_problem(await outside.put("/api/v1/tokens/T", json={}, headers=headers), 403, "viewer", "edit")


async def test_key_of_an_operator_opens_nothing_of_another(system: System, api, outside) -> None:
    await api.put("/api/v1/stations/CS-1", params={"operator": "north"}, json={})
    await api.put("/api/v1/stations/CS-1", params={"operator": "south"}, json={})
    north = await system.database.writer.run(admin.ensure_operator("north"))
    kept = system.vault.key_hash("csms_north")
    await system.database.writer.run(admin.put_key("north", "operator", kept, NOW, north))
    headers = {"Authorization": "Bearer csms_north"}
    listed = (await outside.get("/api/v1/stations", headers=headers)).json()["items"]
    assert [(row["operator"], row["id"]) for row in listed] == [("north", "CS-1")]
    own = await outside.get("/api/v1/stations/CS-1", headers=headers)
    assert (own.status_code, own.json()["operator"]) == (200, "north")
    foreign = await outside.get("/api/v1/stations/CS-1", params={"operator": "south"}, headers=headers)
    assert_problem(foreign, 404)


async def test_key_holds_until_it_expires(system: System, outside) -> None:
    await system.database.writer.run(admin.put_key("short", "viewer", system.vault.key_hash("csms_short"), NOW))
    await system.database.writer.run(
        lambda connection: connection.exec_driver_sql("UPDATE api_keys SET expires_at = 1 WHERE name = 'short'")
    )
    response = await outside.get("/api/v1/totals", headers={"Authorization": "Bearer csms_short"})
    assert_problem(response, 401)


async def test_control_socket_needs_no_key(api) -> None:
    assert (await api.get("/api/v1/totals")).status_code == 200


async def test_every_resource_asks_for_a_key(system: System, outside) -> None:
    open_to_all = {"/health/live", "/health/ready", "/metrics", "/api/v1/login"}
    asked = 0
    for path, methods in system.api.openapi()["paths"].items():
        for method in methods:
            response = await outside.request(method, path.replace("{id}", "1").replace("{value}", "x"), json={})
            assert (response.status_code == 401) is (path not in open_to_all), (method, path)
            asked += 1
    assert asked >= 14


async def test_body_of_a_stranger_is_bounded(outside) -> None:
    """FastAPI reads a body before it asks who sends it."""
    taken = 0

    async def endless():
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b" " * 65536

    response = await outside.put("/api/v1/stations/CS-1", content=endless())
    assert_problem(response, 413, "4 MiB")
    assert taken < 70
