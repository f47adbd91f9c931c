"""A session that can only be over is told to be looked at, and its own end, once reported, takes that back."""

from __future__ import annotations

import pytest

from csms.domain.events import SessionFlagged
from csms.domain.sessions import NEEDS_REVIEW, SUPERSEDED
from tests.blocks.conversation import stamp
from tests.blocks.test_transactions import begin, event, stop


class TestR5:
    """A session whose end never comes."""

    @pytest.fixture
    async def charging(self, v16):
        v16.token("TAG")
        return await begin(v16)

    @staticmethod
    def status(word: str, minutes: float, connector: int = 1) -> dict:
        return {
            "connectorId": connector, "errorCode": "NoError", "status": word, "timestamp": stamp(minutes)
        }  # fmt: skip

    async def test_R5_free_connector_means_that_the_end_is_missing(self, v16, charging):
        await v16.say("StatusNotification", self.status("Available", 30))
        assert v16.session.is_open and v16.session.flags == (NEEDS_REVIEW,)
        (event,) = v16.events(SessionFlagged)
        assert (event.session, event.flag) == (v16.session.id, NEEDS_REVIEW)
        await v16.say("StatusNotification", self.status("Available", 31))
        assert len(v16.events(SessionFlagged)) == 1

    async def test_R5_the_end_that_comes_after_all_takes_the_doubt_back(self, v16, charging):
        await v16.say("StatusNotification", self.status("Available", 30))
        await v16.say("StopTransaction", stop(charging, 29))
        assert not v16.session.is_open and v16.session.flags == ()

    @pytest.mark.parametrize(
        ("word", "minutes", "connector"), [("Available", -5, 1), ("Available", 30, 2), ("Finishing", 30, 1)]
    )
    async def test_R5_what_says_nothing_of_this_session_raises_no_doubt(self, v16, charging, word, minutes, connector):
        await v16.say("StatusNotification", self.status(word, minutes, connector))
        assert v16.session.flags == ()

    async def test_R5_session_that_goes_on_is_not_in_doubt(self, v16, charging):
        await v16.say("StatusNotification", self.status("Available", 30))
        await v16.say("StatusNotification", self.status("Charging", 31))
        assert v16.session.flags == ()

    async def test_R5_free_connector_of_2x_too(self, v201):
        v201.token("TAG")
        await v201.say("TransactionEvent", event("Started", 0, evse={"id": 1, "connectorId": 1}))
        free = {"evseId": 1, "connectorId": 1, "connectorStatus": "Available", "timestamp": stamp(30)}
        await v201.say("StatusNotification", free)
        assert v201.session.flags == (NEEDS_REVIEW,)
        await v201.say("TransactionEvent", event("Ended", 1, minutes=29))
        assert v201.session.flags == ()

    async def test_R5_superseded_session_is_told_once(self, v16, charging):
        await begin(v16, minutes=90)
        await begin(v16, minutes=91)
        told = [(event.session, event.flag) for event in v16.events(SessionFlagged)]
        first, second, _ = v16.sessions
        assert told == [(first.id, SUPERSEDED), (second.id, SUPERSEDED)]
