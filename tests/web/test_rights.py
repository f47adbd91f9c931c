"""Who may do what: every route × role × object of another operator. A route that is not listed here fails the test."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
import pytest_asyncio

from csms.app import System
from csms.domain.sessions import Session
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.storage import admin
from csms.web.access import RIGHTS
from tests.conftest import NOW

pytestmark = pytest.mark.asyncio(loop_scope="session")

# The right that each route asks for. `any`: whoever has a key. `open`: everybody.
ROUTES = """
read GET /operators · read GET /operators/{name} · manage PUT /operators/{name} · manage DELETE /operators/{name}
read GET /locations · read GET /locations/{id} · edit PUT /locations/{id} · edit DELETE /locations/{id}
edit POST /locations/import
read GET /stations · read GET /stations/{id} · edit PUT /stations/{id} · edit DELETE /stations/{id}
edit POST /stations/import
read GET /token-groups · read GET /token-groups/{name} · edit PUT /token-groups/{name}
edit DELETE /token-groups/{name} · read GET /tokens · read GET /tokens/{value} · edit PUT /tokens/{value}
edit DELETE /tokens/{value}
read GET /sessions · read GET /sessions/{id} · read GET /sessions/{id}/samples · read GET /sessions/{id}/messages
steer POST /sessions · steer POST /sessions/{id}/stop · edit POST /sessions/{id}/close
read GET /commands · read GET /commands/{id} · steer POST /stations/{id}/commands/{action}
read GET /reservations · read GET /reservations/{id} · steer POST /reservations
steer DELETE /reservations/{id} · steer POST /charging-profiles · read GET /charging-profiles · read GET /local-lists
read GET /stations/{id}/charging-profiles/{profile_id} · steer DELETE /stations/{id}/charging-profiles/{profile_id}
read GET /stations/{id}/local-list · steer DELETE /stations/{id}/local-list
read GET /stations/{id}/device-model · read GET /stations/{id}/configuration · read GET /stations/{id}/monitors
read GET /stations/{id}/limits · read GET /stations/{id}/reported-profiles · read GET /stations/{id}/charging-needs
read GET /stations/{id}/display-messages · read GET /stations/{id}/customer-information
read GET /stations/{id}/monitoring · read GET /stations/{id}/availability · read GET /stations/{id}/network-profiles
read GET /stations/{id}/certificates · read GET /stations/{id}/unsupported · read GET /stations/{id}/jobs
read GET /stations/{id}/status-history · read GET /stations/{id}/reports · read GET /stations/{id}/log · read GET /stations/{id}/messages
steer POST /stations/{id}/availability · steer PATCH /stations/{id}/configuration · steer POST /stations/{id}/reset
steer POST /stations/{id}/unlock · steer POST /stations/{id}/trigger · steer POST /stations/{id}/report
steer POST /stations/{id}/clear-cache · steer POST /stations/{id}/firmware · steer POST /stations/{id}/logs
steer POST /stations/{id}/configuration/read · steer POST /stations/{id}/variables/read
steer PATCH /stations/{id}/variables · steer POST /stations/{id}/charging-profiles
steer POST /stations/{id}/charging-profiles/read · steer POST /stations/{id}/charging-profiles/clear
steer POST /stations/{id}/composite-schedule · steer POST /stations/{id}/reservations
steer POST /stations/{id}/reservations/cancel · steer PUT /stations/{id}/local-list
steer POST /stations/{id}/local-list/change · steer POST /stations/{id}/local-list/version
read GET /stations/{id}/trace · steer PUT /stations/{id}/trace · steer DELETE /stations/{id}/trace
read GET /tariffs · edit POST /tariffs · read GET /events · read GET /totals
read GET /webhooks · edit POST /webhooks · read GET /webhooks/{id} · edit PUT /webhooks/{id}
edit DELETE /webhooks/{id} · edit POST /webhooks/{id}/secret · edit POST /webhooks/{id}/test
read GET /bulk-commands · steer POST /bulk-commands · read GET /bulk-commands/{id}
read GET /bulk-commands/{id}/items · steer POST /bulk-commands/{id}/cancel
read GET /network/summary · edit POST /network/import
read GET /certificates · edit POST /certificates/{serial}/revoke
manage GET /users · manage POST /users · manage GET /users/{id} · manage PATCH /users/{id} · manage DELETE /users/{id}
manage GET /api-keys · manage POST /api-keys · manage GET /api-keys/{id} · manage DELETE /api-keys/{id}
manage GET /audit
open POST /login · any POST /logout · any GET /me · any PUT /me/password
"""
KNOWN = {tuple(line.split()[1:]): line.split()[0] for line in re.split(r"[·\n]", ROUTES) if line.strip()}

# What a request needs besides the path, so that it is refused for no other reason.
BODIES: dict[str, Any] = {
    "PUT /locations/{id}": {"name": "X"}, "PUT /operators/{name}": {}, "PUT /stations/{id}": {}, "PUT /tokens/{value}": {},
    "PUT /token-groups/{name}": {"tokens": ["N-TAG"]},
    "POST /reservations": {
        "station_id": "N-1", "token": "N-TAG", "operator": "north", "expires_at": "2099-01-01T00:00:00Z",
    },
    "POST /charging-profiles": {
        "station_id": "N-1", "operator": "north", "purpose": "tx_default", "periods": [{"start": 0, "limit": 6.0}],
    },
    "POST /sessions": {"station_id": "N-1", "token": "N-TAG", "operator": "north"},
    "POST /stations/{id}/commands/{action}": {}, "PUT /stations/{id}/trace": {"until": "2030-01-01T00:00:00Z"},
    "POST /tariffs": {"currency": "EUR"}, "POST /webhooks": {"url": "https://example.com/"}, "PUT /webhooks/{id}": {},
    "POST /users": {"name": "x", "role": "viewer", "operator": "north"}, "PATCH /users/{id}": {},
    "POST /api-keys": {"name": "x", "role": "viewer", "operator": "north"},
    "POST /stations/{id}/availability": {"operative": True}, "PATCH /stations/{id}/configuration": {"values": {"A": "1"}},
    "POST /stations/{id}/trigger": {"message": "heartbeat"},
    "POST /bulk-commands": {"verb": "clear-cache", "filter": {"station_ids": ["N-1"]}, "operator": "north"},
    "POST /stations/{id}/unlock": {"evse_id": 1},
    "POST /stations/{id}/variables/read": {"variables": [{"component": "A", "variable": "B"}]},
    "PATCH /stations/{id}/variables": {"variables": [{"component": "A", "variable": "B", "value": "1"}]},
    "POST /stations/{id}/charging-profiles": {"purpose": "tx_default", "periods": [{"start": 0, "limit": 6}]},
    "POST /stations/{id}/reservations": {"token": "T", "expires_at": "2030-01-01T00:00:00Z"},
    "POST /stations/{id}/reservations/cancel": {"reservation_id": 1}, "PUT /stations/{id}/local-list": {"tokens": []},
    "POST /stations/{id}/firmware": {"location": "https://example.com/f"},
    "POST /stations/{id}/logs": {"location": "https://example.com/l"},
}  # fmt: skip
# Nothing of another operator can be named here: what is shown and done is the caller's own.
OWN_ONLY = {("GET", "/operators"), ("GET", "/totals"), ("POST", "/login"), ("POST", "/logout"), ("GET", "/me"), ("PUT", "/me/password")}  # fmt: skip


def routes(system: System) -> set[tuple[str, str]]:
    found = system.api.openapi()["paths"]
    return {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in found.items() if path.startswith("/api/v1")
        for method in methods
    }  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def north(system: System, api) -> dict[str, str]:
    """One of everything, of operator north; the values that stand for the parameters of a path, by first segment."""
    await api.put("/api/v1/operators/south", json={})
    within = {"operator": "north"}
    await api.put("/api/v1/stations/N-1", json={"password": None}, params=within)
    await api.put("/api/v1/locations/N-1", json={"name": "North"}, params=within)
    await api.put("/api/v1/tokens/N-TAG", json={"group": "g"}, params=within)
    found = await system.records.known("north", "N-1")
    unit = Unit(Station(found.id, found.operator_id, "north", "N-1"), NOW)
    unit.opened.append(
        Session(id=77, transaction_id="77", start_key="k", version="1.6", started_at=NOW, received_at=NOW)
    )
    await system.database.writer.commit(unit)
    command = (await api.post("/api/v1/stations/N-1/commands/ClearCache", params=within)).json()["id"]
    asked = {"verb": "clear-cache", "filter": {"station_ids": ["N-1"]}, "operator": "north"}
    bulk = await api.post("/api/v1/bulk-commands", json=asked)
    user = (await api.post("/api/v1/users", json={"name": "ann", "role": "viewer", "operator": "north"})).json()["id"]
    key = (await api.post("/api/v1/api-keys", json={"name": "k", "role": "viewer", "operator": "north"})).json()["id"]
    webhook = await api.post("/api/v1/webhooks", json={"url": "https://example.com/", "enabled": False}, params=within)
    reserved = f"INSERT INTO reservations (station_id, reservation_id, status, token, expires_at, created_at, changed_at) VALUES ({found.id}, 1, 'accepted', 'T', 1, 1, 1)"
    held = f"INSERT INTO charging_profiles VALUES ({found.id}, 1, 0, 'TxDefaultProfile', 0, '{{}}', 1)"
    listed = f"INSERT INTO local_lists VALUES ({found.id}, 1, '{{}}', 1)"
    for statement in (reserved, held, listed):
        await system.database.writer.run(lambda connection, sql=statement: connection.exec_driver_sql(sql) and None)
    async with system.database.reader.connect() as connection:
        reservation = (await connection.exec_driver_sql("SELECT max(id) FROM reservations")).scalar_one()
    return {
        "operators": "north", "locations": "N-1", "stations": "N-1", "tokens": "N-TAG", "token-groups": "g", "sessions": "77",
        "commands": str(command), "bulk-commands": str(bulk.json()["id"]), "reservations": str(reservation), "users": str(user), "api-keys": str(key),
        "webhooks": str(webhook.json()["id"]), "certificates": "abc",
    }  # fmt: skip


async def key_of(system: System, role: str, operator: str | None) -> dict[str, str]:
    number = None if operator is None else await system.database.writer.run(admin.ensure_operator(operator))
    secret = f"csms_{role}_{operator}"
    kept = system.vault.key_hash(secret)
    await system.database.writer.run(admin.put_key(role, role, kept, NOW, number))
    return {"Authorization": f"Bearer {secret}"}


async def ask(http: httpx.AsyncClient, method: str, path: str, objects: dict[str, str], headers, **params: Any):
    filled = path.replace("{action}", "ClearCache").replace("{profile_id}", "1")
    filled = re.sub(r"\{\w+\}", objects.get(path.split("/")[1], "x"), filled)
    body = BODIES.get(f"{method} {path}", {} if method in ("POST", "PATCH", "PUT") else None)
    line = b'{"kind":"token","operator":"north","value":"T"}' if objects and path == "/network/import" else b""
    content = {"content": line} if path.endswith("/import") else {} if body is None else {"json": body}
    request = http.request(method, f"/api/v1{filled}", headers=headers, params=params, **content)
    return await asyncio.wait_for(request, 5)


async def test_every_route_states_its_right(system: System) -> None:
    assert routes(system) - KNOWN.keys() == set(), "add the route to ROUTES, with the right it asks for"
    assert KNOWN.keys() - routes(system) == set(), "remove routes that are gone"


async def test_role_may_what_its_rights_say_and_nothing_else(system: System, outside, north) -> None:
    """What may not is refused whatever it names; what may gets another answer (here of objects that do not exist)."""
    for role, rights in RIGHTS.items():
        headers = await key_of(system, role, "south")
        for (method, path), right in KNOWN.items():
            if (method, path) in (("GET", "/events"), ("POST", "/logout")):
                continue  # Goes on for ever; ends the login.
            response = await ask(outside, method, path, {}, headers)
            allowed = right in rights or right in ("any", "open")
            assert (response.status_code == 403) is not allowed, (role, method, path, response.text)
            assert response.status_code < 500 or response.status_code == 503, (role, method, path, response.text)


async def test_what_belongs_to_another_operator_does_not_exist(system: System, outside, north) -> None:
    headers = await key_of(system, "admin", "south")
    for method, path in KNOWN:
        if (method, path) in OWN_ONLY:
            continue
        response = await ask(outside, method, path, north, headers, operator="north")
        assert response.status_code == 404, (method, path, response.text)
        assert "north" not in response.text or "operator" in response.json()["detail"], (method, path)


async def test_what_belongs_to_another_operator_is_not_found_by_its_name_alone(system: System, outside, north) -> None:
    headers = await key_of(system, "admin", "south")
    for method, path in KNOWN:
        if "{" in path and (method, path) not in CREATING:
            response = await ask(outside, method, path, north, headers)
            assert response.status_code == 404, (method, path, response.text)


CREATING = {
    ("PUT", f"/{what}") for what in ("locations/{id}", "stations/{id}", "tokens/{value}", "token-groups/{name}")
}


async def test_listings_hold_nothing_of_another_operator(system: System, outside, north) -> None:
    headers = await key_of(system, "admin", "south")
    for method, path in KNOWN:
        if method == "GET" and "{" not in path and path not in ("/events", "/me", "/totals", "/network/summary"):
            items = (await ask(outside, method, path, north, headers)).json()["items"]
            if path == "/audit":  # Holds what the caller itself has sent.
                items = [item["operator"] for item in items]
            assert all("north" not in str(item) for item in items), path


async def test_who_owns_nothing_is_told_to_send_a_key(system: System, outside, north) -> None:
    for (method, path), right in KNOWN.items():
        response = await ask(outside, method, path, north, {})
        assert (response.status_code == 401) is (right != "open"), (method, path)
