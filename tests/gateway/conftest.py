"""Most of the gateway is tested at its parts; the modules named here tell whole stories over real sockets."""

from __future__ import annotations

import pytest

STORIES = {"test_bad_input", "test_rfc6455", "test_server", "test_storm", "test_transport_rules", "test_turns"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "gateway" and item.path.stem.partition("_rules_")[0] in STORIES:
            item.add_marker(pytest.mark.journey)
