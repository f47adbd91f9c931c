"""What the API works with."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from csms.app import System
from csms.storage import admin
from csms.storage.accounts import Bearer
from csms.web.services import services_of
from tests.web.conftest import ADMIN_KEY

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_role_belongs_to_a_key(system: System) -> None:
    services = system.api.state.services
    assert await services.bearer(ADMIN_KEY) == Bearer("admin", "admin", None, "key")
    assert await services.bearer("csms_unknown") is None


async def test_writes_go_through_the_one_writer(system: System) -> None:
    assert await system.api.state.services.write(admin.has_keys) is True


async def test_services_are_those_of_the_application_that_was_asked(system: System) -> None:
    request = Request({"type": "http", "app": system.api})
    assert services_of(request) is system.api.state.services
