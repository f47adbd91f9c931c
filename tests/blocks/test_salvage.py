"""A transaction message that cannot be applied is kept raw, and answered so that the station goes on."""

from __future__ import annotations

import json

import msgspec
import pytest

from csms.blocks.dispatch import Context, Policy
from csms.blocks.salvage import keep_raw, received
from csms.domain.stations import Station
from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.frames import Call
from csms.storage.memory import MemoryRecords
from tests.blocks.conversation import NOON


def salvaged(action: str, payload: bytes = b'{"odd": 1}', version: Version = Version.V16):
    station = Station(1, 1, "default", "CS-1")
    ctx = Context(station, version, NOON, MemoryRecords(), Policy())
    call = Call("m1", action, msgspec.Raw(payload))
    unit = keep_raw(call, ctx, "failed: ValueError")
    return station, unit, json.loads(received(call, ctx, unit))


def test_message_is_kept_as_it_came_with_the_reason_and_told():
    _, unit, _ = salvaged("StopTransaction")
    (kept,) = unit.unmatched
    assert (kept.action, kept.payload, kept.reason) == ("StopTransaction", b'{"odd": 1}', "failed: ValueError")
    assert [event.action for event in unit.events] == ["StopTransaction"]


@pytest.mark.parametrize(
    ("version", "action"),
    [
        (Version.V16, "StopTransaction"),
        (Version.V16, "MeterValues"),
        (Version.V16, "StartTransaction"),
        (Version.V201, "TransactionEvent"),
    ],
)
def test_answer_is_valid(version: Version, action: str):
    _, _, (kind, message_id, payload) = salvaged(action, version=version)
    assert (kind, message_id) == (3, "m1")
    assert schemas.violation(actions(version)[action], payload, response=True) is None


def test_start_gets_an_id_of_its_own_and_is_refused():
    station, unit, (_, _, payload) = salvaged("StartTransaction")
    assert payload == {"idTagInfo": {"status": "Invalid"}, "transactionId": 1}
    unit.apply()
    assert station.next_transaction == 2
