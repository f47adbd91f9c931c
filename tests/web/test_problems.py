"""Every error leaves as a problem document that says what to do."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from csms.app import System
from csms.domain.ports import StorageUnavailable
from csms.web.problems import Problem
from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_problem_keeps_what_goes_along_for_programs() -> None:
    problem = Problem(409, "Wait.", station="CS-1")
    assert (problem.status, problem.detail, problem.extra) == (409, "Wait.", {"station": "CS-1"})


async def test_unknown_path_points_to_the_description(api) -> None:
    assert_problem(await api.get("/api/v1/nothing"), 404, "/api/openapi.json")


async def test_wrong_method_names_the_right_ones(api) -> None:
    response = await api.patch("/api/v1/stations/CS-1", json={})
    assert_problem(response, 405, "PATCH")
    assert response.headers["allow"]


async def test_each_wrong_field_is_named(api) -> None:
    response = await api.put("/api/v1/stations/CS-1", json={"strict": "perhaps", "passwort": "x"})
    problem = assert_problem(response, 422, "body.strict", "body.passwort")
    assert {error["path"] for error in problem["errors"]} == {"body.strict", "body.passwort"}


async def test_wrong_value_of_a_secret_is_not_repeated(api) -> None:
    response = await api.put("/api/v1/stations/CS-1", json={"password": "secret"})
    assert_problem(response, 422, "body.password", "at least 8")
    assert "secret" not in response.text


async def test_bad_cursor_is_told_what_to_do(api) -> None:
    for path in ("/api/v1/stations?cursor=x", "/api/v1/sessions?cursor=x", f"/api/v1/sessions?cursor=1-{10**30}"):
        assert_problem(await api.get(path), 422, "leave it away")


async def test_storage_that_fails_is_503_and_changes_nothing(system: System, api, monkeypatch) -> None:
    def fails(job):
        raise StorageUnavailable("disk full")

    monkeypatch.setattr(system.database.writer, "run", fails)
    assert_problem(await api.put("/api/v1/tokens/TAG", json={}), 503, "disk full", "Try again later")


async def test_surprise_is_500_told_to_the_log_and_to_the_client_in_its_form(system: System, api, monkeypatch) -> None:
    async def fails():
        raise RuntimeError("the secret cause")

    monkeypatch.setattr(system.api.state.services.queries, "totals", fails, raising=False)
    with capture_logs() as logs:
        response = await api.get("/api/v1/totals")
    assert_problem(response, 500, "log")
    assert "secret cause" not in response.text
    assert [line["event"] for line in logs] == ["request.failed"]


BODIES = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b'{"strict": "\xff"}', b'{"\\ud800": 1}',
    b'{"password": "\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800"}', b'{"strict": NaN}',
    b'{"strict": Infinity}', b'{"strict": 1e999}', b'{"strict": ' + b"9" * 5000 + b"}",
    b"[" * 100_000, b'{"password": ' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"password": "' + b"x" * 100_000 + b'"}',
]  # fmt: skip
NAMES = [
    "stations/%00", "stations/a%0Ab", "stations/%FF%FE", "stations/%ED%A0%80", "stations/" + "x" * 49,
    "stations/a:b", "stations/%20", "stations/%E2%80%AE", "tokens/%00", "tokens/%20", "stations/a/b", "tokens/a/b",
    "tokens/" + "x" * 256, "stations/CS-1?operator=", "stations/CS-1?operator=a%2Fb", "stations/CS-1?operator=%00",
    "stations/CS-1?operator=" + "x" * 49, "tokens/TAG?operator=%00",
]  # fmt: skip
NUMBERS = [
    "sessions/99999999999999999999", "sessions/-99999999999999999999", "sessions/-9223372036854775808",
    "sessions/" + "9" * 5000, "sessions/x", "sessions/NaN", "commands/99999999999999999999",
    "commands/-99999999999999999999", "sessions/99999999999999999999/samples", "sessions?limit=0",
    "sessions?limit=99999999999999999999", "sessions?limit=NaN", "sessions?status=open", "stations?online=perhaps",
    "stations?limit=1e3", "sessions/1/samples?limit=10001",
]  # fmt: skip


async def test_hostile_body_is_the_clients_error(api) -> None:
    for body in BODIES:
        response = await api.put("/api/v1/stations/CS-1", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= response.status_code < 500, body[:40]
        assert_problem(response, response.status_code)


async def test_hostile_name_is_the_clients_error(system: System, api) -> None:
    for path in NAMES:
        response = await api.put(f"/api/v1/{path}", json={})
        assert response.status_code in (404, 405, 422), path
        assert_problem(response, response.status_code)
    assert (await api.get("/api/v1/stations")).json()["items"] == []


async def test_hostile_number_is_the_clients_error(api) -> None:
    for path in NUMBERS:
        response = await api.get(f"/api/v1/{path}")
        assert response.status_code in (404, 422), path
        assert_problem(response, response.status_code)
