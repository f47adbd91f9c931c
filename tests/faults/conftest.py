"""Every test here is a journey: a server on a disk that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.disk import Disk
from tests.faults.processes import FaultyServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.journey)


@pytest.fixture
async def make_server(tmp_path: Path) -> AsyncIterator:
    """`await make_server(disk=…, **settings)`: a running server that takes unknown stations in."""
    servers: list[FaultyServer] = []

    async def make(disk: Disk | None = None, *, synchronous: str | None = None, **settings) -> FaultyServer:
        server = FaultyServer(tmp_path, disk, synchronous, registration="open", **settings)
        servers.append(server)
        await server.start()
        return server

    yield make
    for server in servers:
        await server.end()
