"""A station whose clock is wrong is told of, once a connection."""

from __future__ import annotations

import pytest

from csms.domain.events import ClockDrifted
from tests.blocks.conversation import NOON, after
from tests.blocks.test_availability import status_16
from tests.blocks.test_transactions import event, start, stop


async def test_T51_time_in_the_future_is_kept_beside_ours_and_told_once(v16):
    await v16.say("StartTransaction", start(minutes=3))
    await v16.say("StopTransaction", stop(1, minutes=63))
    assert (v16.session.started_at, v16.session.received_at) == (after(3), NOON)
    assert [(told.claimed, told.ahead_s) for told in v16.events(ClockDrifted)] == [(after(3), 180)]
    await v16.restart()
    await v16.say("StatusNotification", status_16("Available", minutes=2))
    assert [told.ahead_s for told in v16.events(ClockDrifted)] == [180, 120]


@pytest.mark.parametrize(
    ("minutes", "offline", "told"),
    [(-4, False, []), (-6, False, [-360]), (-600, True, []), (1, True, []), (2, True, [120])],
)
async def test_T51_old_time_is_told_only_of_what_did_not_wait_offline(v201, minutes, offline, told):
    await v201.say("TransactionEvent", event("Started", 0, minutes, offline=offline))
    assert [drift.ahead_s for drift in v201.events(ClockDrifted)] == told


async def test_T51_old_messages_of_16_are_no_drift_but_a_lost_clock_is(v16):
    await v16.say("StartTransaction", start(minutes=-10_000))
    assert v16.events(ClockDrifted) == []
    await v16.say("StartTransaction", start() | {"timestamp": "1970-01-01T00:00:00Z"})
    assert len(v16.events(ClockDrifted)) == 1


async def test_T51_order_is_that_of_arrival_and_number_whatever_the_clock_says(v201):
    """A clock that was set back within a transaction: its messages still count in their order."""
    for message in (
        event("Started", 0, 30, wh=1_000.0),
        event("Updated", 1, 0, wh=2_000.0),
        event("Ended", 2, 10, wh=3_000.0),
    ):
        await v201.say("TransactionEvent", message)
    session = v201.session
    assert (session.energy_wh, session.complete, session.is_open) == (2_000.0, True, False)
