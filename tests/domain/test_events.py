"""Events: named on the wire, without what says nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import msgspec

from csms.domain.events import AnyEvent, ConnectorChanged

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def test_event_tells_its_type_and_leaves_out_defaults():
    event = ConnectorChanged(at=NOON, evse_id=1, connector_id=1, status="available")
    assert msgspec.to_builtins(event, builtin_types=(datetime,)) == {
        "type": "connector.changed", "at": NOON, "evse_id": 1, "connector_id": 1, "status": "available",
    }  # fmt: skip


def test_every_event_is_read_back_as_what_it_was():
    event = ConnectorChanged(at=NOON, evse_id=1, connector_id=1, status="available", detail="Finishing")
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


def test_names_are_unique_and_in_the_past_tense():
    names = [kind.__struct_config__.tag for kind in get_args(AnyEvent)]
    assert len(set(names)) == len(names)
    assert all(name.endswith("ed") or name.endswith(("opened", "closed")) for name in names)
