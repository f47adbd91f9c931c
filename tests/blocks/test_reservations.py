"""Block H: a reservation ends by the station's word, or by the session that uses it."""

from __future__ import annotations

import pytest

from csms.domain.events import ReservationEnded
from tests.blocks.test_transactions import event, start


@pytest.mark.parametrize(("word", "outcome"), [("Expired", "expired"), ("Removed", "removed")])
async def test_station_says_that_a_reservation_ended(v201, word, outcome):
    update = {"reservationId": 4, "reservationUpdateStatus": word}
    assert await v201.say("ReservationStatusUpdate", update) == {}
    assert v201.records.reservations == {(v201.station.id, 4): (outcome, None)}
    assert [told.outcome for told in v201.events(ReservationEnded)] == [outcome]


async def test_session_uses_its_reservation_once(v16, v201):
    for _ in range(2):
        await v16.say("StartTransaction", start(reservationId=4))
        await v201.say("TransactionEvent", event("Started", 0, reservationId=4))
    for station in (v16, v201):
        assert station.records.reservations == {(station.station.id, 4): ("used", station.session.id)}
        assert [told.session for told in station.events(ReservationEnded)] == [station.session.id]


async def test_session_without_a_reservation_ends_none(v16, v201):
    await v16.say("StartTransaction", start())
    await v201.say("TransactionEvent", event("Started", 0))
    assert v16.records.reservations == v201.records.reservations == {}
