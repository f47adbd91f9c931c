"""Every message a station may send gets an answer that the official schema allows, whatever valid content it has."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.domain.events import AnyEvent
from csms.ocpp.catalogue import Version, actions
from tests import schema_strategy
from tests.blocks.conversation import Conversation

pytestmark = pytest.mark.fuzz

INBOUND = [
    (version, name)
    for version in (Version.V16, Version.V201)
    for name, action in actions(version).items()
    if action.from_station
]
# What need not be news: nothing happened, or it is told when the last part is here.
MAY_BE_SILENT = {
    "Authorize", "Heartbeat", "MeterValues", "NotifyReport", "NotifyMonitoringReport", "NotifyCustomerInformation",
    "NotifyDisplayMessages", "ReportChargingProfiles",
}  # fmt: skip


@pytest.mark.parametrize(("version", "action"), INBOUND)
@settings(max_examples=12)
@given(st.data())
def test_valid_message_gets_a_valid_answer_and_is_told(version: Version, action: str, data: st.DataObject):
    """`Conversation.say` judges the answer; a repeat is answered too."""
    payload = data.draw(schema_strategy.valid(version, f"{action}Request"))

    async def told() -> list[AnyEvent]:
        station = Conversation(version)
        station.token("a")
        for _ in range(2):
            await station.say(action, payload)
        return station.records.events

    assert asyncio.run(told()) or action in MAY_BE_SILENT


def test_every_message_is_there():
    assert len(INBOUND) == 14 + 25
