"""Block B: a boot is answered with the operator's decision, which then outlives connection and restart."""

from __future__ import annotations

import pytest

from csms.domain.events import StationBooted
from csms.domain.stations import Boot
from tests.blocks.conversation import NOON

BOOT_16 = {
    "chargePointVendor": "V", "chargePointModel": "M", "chargePointSerialNumber": "S1", "firmwareVersion": "1.0",
    "iccid": "I", "imsi": "J",
}  # fmt: skip
BOOT_2X = {
    "reason": "PowerUp",
    "chargingStation": {
        "vendorName": "V", "model": "M", "serialNumber": "S1", "firmwareVersion": "1.0",
        "modem": {"iccid": "I", "imsi": "J"},
    },
}  # fmt: skip


async def test_accepted_station_learns_time_and_heartbeat_interval(v16):
    answer = await v16.say("BootNotification", BOOT_16)
    assert answer["status"] == "Accepted"
    assert answer["currentTime"] == "2026-05-04T12:00:00Z"
    assert 240 <= answer["interval"] <= 360


@pytest.mark.parametrize(
    ("admission", "word"), [("accepted", "Accepted"), ("pending", "Pending"), ("rejected", "Rejected")]
)
async def test_boot_is_answered_with_the_operators_decision(v16, v201, admission, word):
    for station, boot in ((v16, BOOT_16), (v201, BOOT_2X)):
        station.station.admission = admission
        assert (await station.say("BootNotification", boot))["status"] == word
        assert station.station.registration == admission


async def test_boot_that_says_nothing_new_changes_nothing(v16, v201):
    for station, boot in ((v16, BOOT_16), (v201, BOOT_2X | {"reason": "Triggered"})):
        first = await station.say("BootNotification", boot)
        again = await station.say("BootNotification", boot)
        assert station.context.work is None
        assert again["status"] == first["status"] == "Accepted" and 240 <= again["interval"] <= 360


async def test_boot_of_2x_for_a_reason_of_its_own_is_a_restart(v201):
    for _ in range(2):
        await v201.say("BootNotification", BOOT_2X | {"reason": "PowerUp"})
        assert v201.context.work is not None


async def test_boot_is_news_when_the_station_or_the_operator_changed_its_mind(v16):
    await v16.say("BootNotification", BOOT_16)
    await v16.say("BootNotification", BOOT_16 | {"firmwareVersion": "1.1"})
    assert v16.context.unit.booted.firmware == "1.1"
    v16.station.admission = "rejected"
    assert (await v16.say("BootNotification", BOOT_16 | {"firmwareVersion": "1.1"}))["status"] == "Rejected"
    assert v16.context.unit.registration == v16.station.registration == "rejected"


async def test_T45_interval_is_a_whole_number_above_zero_for_those_who_wait_too(v16):
    v16.station.admission = "rejected"
    interval = (await v16.say("BootNotification", BOOT_16))["interval"]
    assert type(interval) is int and 48 <= interval <= 72


async def test_T41_registration_survives_a_restart(v201):
    await v201.say("BootNotification", BOOT_2X)
    await v201.restart()
    assert v201.station.registration == "accepted"
    assert await v201.say("Heartbeat")


async def test_what_a_16_station_says_of_itself_is_kept(v16):
    await v16.say("BootNotification", BOOT_16)
    assert v16.context.unit.booted == Boot("V", "M", "S1", "1.0", "I", "J", None)
    assert v16.events(StationBooted) == [
        StationBooted(at=NOON, registration="accepted", vendor="V", model="M", firmware="1.0", serial="S1")
    ]


async def test_what_a_2x_station_says_of_itself_is_kept(v201):
    await v201.say("BootNotification", BOOT_2X)
    assert v201.context.unit.booted == Boot("V", "M", "S1", "1.0", "I", "J", "PowerUp")


async def test_station_without_a_modem_has_none(v201):
    await v201.say("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}})
    assert v201.context.unit.booted == Boot("V", "M", reason="PowerUp")


async def test_old_serial_number_of_the_box_is_taken_where_there_is_no_other(v16):
    about = {"chargePointVendor": "V", "chargePointModel": "M", "chargeBoxSerialNumber": "B"}
    await v16.say("BootNotification", about)
    assert v16.context.unit.booted.serial == "B"


async def test_T46_over_long_vendor_is_shortened_and_accepted(v16):
    answer = await v16.say("BootNotification", {"chargePointVendor": "V" * 60, "chargePointModel": "M"})
    assert answer["status"] == "Accepted"
    assert v16.context.unit.booted.vendor == "V" * 20


async def test_T48_T50_time_is_told_without_fractions(v16):
    v16.now = NOON.replace(microsecond=123_456)
    assert (await v16.say("BootNotification", BOOT_16))["currentTime"] == "2026-05-04T12:00:00Z"
