"""Commands: pending until they are settled."""

from __future__ import annotations

from datetime import UTC, datetime

from csms.domain.commands import Command


def test_command_is_pending_until_it_is_settled():
    command = Command(
        id=1, operator="default", station="CS-1", action="Reset", request={"type": "Soft"},
        created_at=datetime(2026, 5, 4, tzinfo=UTC),
    )  # fmt: skip
    assert (command.status, command.response, command.error, command.settled_at) == ("pending", None, None, None)
