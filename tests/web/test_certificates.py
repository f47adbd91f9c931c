"""Resource `certificates`: what was issued to stations."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from csms.storage.tables import certificates
from tests.conftest import NOW
from tests.web.conftest import assert_problem, client

pytestmark = pytest.mark.asyncio(loop_scope="session")

CERTIFICATES = "/api/v1/certificates"


async def issue(system, api, serial: str, identity: str = "CS-1", operator: str = "default") -> None:
    await api.put(f"/api/v1/stations/{identity}", params={"operator": operator}, json={})

    def job(connection: sa.Connection) -> None:
        station = connection.exec_driver_sql("SELECT id FROM stations WHERE identity = ?", (identity,)).scalar_one()
        connection.execute(
            sa.insert(certificates).values(
                station_id=station, kind="station", serial=serial, csr_digest=b"", chain="PEM", status="issued",
                issued_at=NOW, expires_at=NOW + timedelta(days=1000),
            )
        )  # fmt: skip

    await system.database.writer.run(job)


async def test_certificates_are_listed_the_latest_first_and_page_by_page(system, api) -> None:
    for number in range(3):
        await issue(system, api, f"a{number}")
    first = (await api.get(CERTIFICATES, params={"limit": 2})).json()
    assert [row["serial"] for row in first["items"]] == ["a2", "a1"]
    rest = (await api.get(CERTIFICATES, params={"limit": 2, "cursor": first["next"]})).json()
    assert [row["serial"] for row in rest["items"]] == ["a0"] and rest["next"] is None
    none = await api.get(CERTIFICATES, params={"station_id": "CS-2"})
    assert none.json()["items"] == []


async def test_certificate_is_revoked_once_and_for_all(system, api) -> None:
    await issue(system, api, "abc")
    for _ in range(2):
        assert (await api.post(f"{CERTIFICATES}/ABC/revoke")).status_code == 204
    (row,) = (await api.get(CERTIFICATES)).json()["items"]
    assert row["status"] == "revoked"
    assert_problem(await api.post(f"{CERTIFICATES}/def/revoke"), 404, "def")


async def test_operator_sees_and_revokes_its_own_only(system, api) -> None:
    from csms.storage import admin

    await issue(system, api, "a1")
    await issue(system, api, "b1", "CS-B", "other")
    operator = await system.database.writer.run(admin.ensure_operator("other"))
    key = "csms_a-key-of-the-other-operator"
    await system.database.writer.run(admin.put_key("other", "operator", system.vault.key_hash(key), NOW, operator))
    async with client(system.api, headers={"Authorization": f"Bearer {key}"}) as http:
        assert [row["serial"] for row in (await http.get(CERTIFICATES)).json()["items"]] == ["b1"]
        assert_problem(await http.post(f"{CERTIFICATES}/a1/revoke"), 404)
        assert_problem(await http.get(CERTIFICATES, params={"operator": "default"}), 404)
        assert (await http.post(f"{CERTIFICATES}/b1/revoke")).status_code == 204
