"""Most of the gateway is tested at its parts; the modules named here tell whole stories over real sockets."""

from __future__ import annotations

import pytest

from csms.gateway import server as server_module
from csms.ocpp.catalogue import Version
from csms.storage.memory import MemoryRecords
from tests.conftest import Server

ALL = (Version.V16, Version.V201, Version.V21)

STORIES = {
    "test_arrival",
    "test_bad_input",
    "test_deadline",
    "test_rfc6455",
    "test_server",
    "test_rules_of_the_handshake",
    "test_rules_of_the_conversation",
    "test_storm",
    "test_turns",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "gateway" and item.path.stem in STORIES:
            item.add_marker(pytest.mark.journey)


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SWEEP", 0.005)


@pytest.fixture
async def modern(make_server) -> Server:
    """A system that also offers 2.1."""
    records = MemoryRecords()
    records.add_station("CS-1", registration="accepted")
    return await make_server(records, versions=ALL)
