"""Blocks G and H: every status of every version, in any order, at any connector."""

from __future__ import annotations

from typing import get_args

import pytest

from csms.blocks.availability import STATUS_2X, STATUS_16
from csms.domain.events import ConnectorChanged
from csms.domain.stations import WHOLE_STATION
from csms.ocpp import v16 as messages_16
from csms.ocpp import v201 as messages_201
from tests.blocks.conversation import after, stamp


def status_16(status: str, connector: int = 1, minutes: float | None = None, **fields) -> dict:
    timestamp = {} if minutes is None else {"timestamp": stamp(minutes)}
    return {"connectorId": connector, "errorCode": "NoError", "status": status} | timestamp | fields


def status_2x(status: str, evse: int = 1, connector: int = 1, minutes: float = 0) -> dict:
    return {"timestamp": stamp(minutes), "connectorStatus": status, "evseId": evse, "connectorId": connector}


def test_every_status_has_its_place():
    assert STATUS_16.keys() == {*get_args(messages_16.ChargePointStatus)}
    assert STATUS_2X.keys() == {*get_args(messages_201.ConnectorStatusEnum)}


@pytest.mark.parametrize(
    ("word", "status", "detail"),
    [
        ("Available", "available", None),
        ("Preparing", "occupied", "Preparing"),
        ("Charging", "occupied", "Charging"),
        ("SuspendedEV", "occupied", "SuspendedEV"),
        ("SuspendedEVSE", "occupied", "SuspendedEVSE"),
        ("Finishing", "occupied", "Finishing"),
        ("Reserved", "reserved", None),
        ("Unavailable", "unavailable", None),
        ("Faulted", "faulted", None),
    ],
)
async def test_16_status_folds_into_five_and_keeps_its_own_word(v16, word, status, detail):
    await v16.say("StatusNotification", status_16(word))
    connector = v16.station.connectors[1, 1]
    assert (connector.status, connector.detail) == (status, detail)


@pytest.mark.parametrize("word", STATUS_2X)
async def test_2x_status_is_taken_as_it_is(v201, word):
    await v201.say("StatusNotification", status_2x(word, 2, 3))
    assert v201.station.connectors[2, 3].status == word.lower()


async def test_heartbeat_tells_the_time_and_writes_nothing(v16, v201):
    for station in (v16, v201):
        assert await station.say("Heartbeat") == {"currentTime": "2026-05-04T12:00:00Z"}
        assert station.context.work is None


async def test_errors_are_kept_and_told(v16):
    await v16.say(
        "StatusNotification", status_16("Faulted", errorCode="GroundFailure", info="wet", vendorErrorCode="7")
    )
    connector = v16.station.connectors[1, 1]
    assert (connector.error_code, connector.error_info, connector.vendor_error_code) == ("GroundFailure", "wet", "7")
    (event,) = v16.events(ConnectorChanged)
    assert (event.status, event.error_code, event.error_info) == ("faulted", "GroundFailure", "wet")


async def test_same_status_again_writes_nothing(v16):
    await v16.say("StatusNotification", status_16("Available", minutes=-3))
    await v16.say("StatusNotification", status_16("Available"))
    assert v16.context.work is None


async def test_T34_connector_0_is_the_whole_station(v16, v201):
    await v16.say("StatusNotification", status_16("Unavailable", 0))
    await v201.say("StatusNotification", status_2x("Unavailable", 0, 0))
    for station in (v16, v201):
        assert [*station.station.connectors] == [WHOLE_STATION]


async def test_T36_connectors_we_never_heard_of_appear(v16):
    await v16.say("StatusNotification", status_16("Available", 9_999))
    assert [*v16.station.connectors] == [(9_999, 1)]


async def test_T37_any_status_may_follow_any_other(v16):
    for word in ("Available", "Charging", "Reserved", "Finishing", "Preparing"):
        await v16.say("StatusNotification", status_16(word))
    assert v16.station.connectors[1, 1].detail == "Preparing"


async def test_T38_unknown_error_code_and_status_are_answered(v16):
    await v16.say("StatusNotification", status_16("Sleeping", errorCode="Error"))
    connector = v16.station.connectors[1, 1]
    assert (connector.status, connector.error_code) == ("unavailable", "OtherError")


async def test_T39_older_report_does_not_overwrite_a_newer_one(v16):
    await v16.say("StatusNotification", status_16("Available", minutes=5))
    await v16.say("StatusNotification", status_16("Charging", minutes=4))
    assert v16.station.connectors[1, 1].status == "available"


async def test_T49_status_dated_by_a_lost_clock_counts_as_of_now(v16):
    v16.now = after(10)
    await v16.say("StatusNotification", status_16("Available") | {"timestamp": "1970-01-01T00:00:00Z"})
    assert v16.station.connectors[1, 1].reported_at == after(10)


async def test_status_from_the_far_future_does_not_freeze_the_connector(v16):
    """I4: one bad date must not outrank every true one that follows."""
    await v16.say("StatusNotification", status_16("Faulted") | {"timestamp": "2099-01-01T00:00:00Z"})
    await v16.say("StatusNotification", status_16("Available", minutes=1))
    assert v16.station.connectors[1, 1].status == "available"


class TestThePhaseOfA16Session:
    @pytest.fixture(autouse=True)
    async def _running(self, v16):
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": stamp(0)}
        await v16.say("StartTransaction", start)

    @pytest.mark.parametrize(
        ("word", "phase"),
        [
            ("Charging", "charging"),
            ("SuspendedEV", "suspended"),
            ("SuspendedEVSE", "suspended"),
            ("Finishing", "pending"),
        ],
    )
    async def test_is_told_by_the_status(self, v16, word, phase):
        await v16.say("StatusNotification", status_16(word))
        assert v16.session.phase == phase

    async def test_is_not_told_by_another_connector(self, v16):
        await v16.say("StatusNotification", status_16("Charging", 2))
        assert v16.session.phase == "pending"

    async def test_follows_a_status_that_was_reported_before_the_session_began(self, v16):
        await v16.say("StatusNotification", status_16("Charging", minutes=1))
        await v16.say("StatusNotification", status_16("Charging", minutes=1))
        assert v16.session.phase == "charging"

    async def test_T39_does_not_follow_an_old_report(self, v16):
        await v16.say("StatusNotification", status_16("SuspendedEV", minutes=5))
        await v16.say("StatusNotification", status_16("Charging", minutes=4))
        assert v16.session.phase == "suspended"


async def test_T34_status_of_a_connector_below_zero_is_answered_and_stored_nowhere(v16, v201):
    assert await v16.say("StatusNotification", status_16("Charging", -1)) == {}
    for evse, connector in ((-1, 1), (1, -1)):
        assert await v201.say("StatusNotification", status_2x("Available", evse, connector)) == {}
    for station in (v16, v201):
        assert not station.station.connectors and not station.events(ConnectorChanged)


async def test_T34_session_and_readings_at_a_connector_below_zero_are_kept_without_a_place(v16, v201):
    start = {"connectorId": -1, "idTag": "T", "meterStart": 0, "timestamp": stamp(0)}
    number = (await v16.say("StartTransaction", start))["transactionId"]
    values = [{"timestamp": stamp(1), "sampledValue": [{"value": "10"}]}]
    assert await v16.say("MeterValues", {"connectorId": -1, "transactionId": number, "meterValue": values}) == {}
    event = {
        "eventType": "Started", "timestamp": stamp(0), "triggerReason": "CablePluggedIn", "seqNo": 0,
        "transactionInfo": {"transactionId": "A"}, "evse": {"id": -1, "connectorId": 1},
    }  # fmt: skip
    await v201.say("TransactionEvent", event)
    for station in (v16, v201):
        assert (station.session.evse_id, station.session.connector_id) == (None, None)
    assert v16.session.last.register_wh == 10
