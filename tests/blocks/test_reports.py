"""What a station reports of itself is kept by kind and key, the latest in place of what it said before."""

from __future__ import annotations

import json

from csms.blocks.dispatch import Context, Policy
from csms.blocks.reports import keep
from csms.domain.stations import Station
from csms.ocpp.catalogue import Version
from csms.storage.memory import MemoryRecords
from tests.blocks.conversation import NOON


def test_report_is_put_into_the_unit_under_its_kind_and_key():
    ctx = Context(Station(1, 1, "default", "CS-1"), Version.V201, NOON, MemoryRecords(), Policy())
    keep(ctx, "limit", "1", {"limit": 16})
    keep(ctx, "limit", "1", None)
    assert [(each.kind, each.key, json.loads(each.data)) for each in ctx.unit.reported] == [
        ("limit", "1", {"limit": 16}),
        ("limit", "1", None),
    ]
