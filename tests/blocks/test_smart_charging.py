"""Blocks I and K: what limits charging from outside, and the answers of a system that makes no schedules yet."""

from __future__ import annotations

import pytest

from csms.domain.events import LimitChanged, NeedsReported, ProfilesReported, ReportCompleted, ScheduleReported
from tests.blocks.conversation import after, stamp
from tests.blocks.test_device_model import kept

SCHEDULE = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6000.0}]}


async def test_limit_is_kept_by_place_and_source_until_it_is_cleared(v201):
    for place in ({}, {"evseId": 2}):
        limit = {"chargingLimit": {"chargingLimitSource": "EMS"}, "chargingSchedule": [SCHEDULE]} | place
        assert await v201.say("NotifyChargingLimit", limit) == {}
    assert [*kept(v201, "charging_limit")] == ["0/EMS", "2/EMS"]
    assert await v201.say("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 2}) == {}
    assert [key for key, limit in kept(v201, "charging_limit").items() if limit] == ["0/EMS"]
    assert [(event.evse_id, event.cleared) for event in v201.events(LimitChanged)] == [
        (0, False),
        (2, False),
        (2, True),
    ]


async def test_profiles_are_kept_and_the_report_is_whole_with_its_last_part(v201):
    profile = {
        "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute",
        "chargingSchedule": [SCHEDULE],
    }  # fmt: skip
    for id, more in ((1, True), (2, False)):
        part = {"requestId": 3, "chargingLimitSource": "CSO", "evseId": 1, "tbc": more}
        await v201.say("ReportChargingProfiles", part | {"chargingProfile": [{"id": id} | profile]})
    assert [*kept(v201, "charging_profile")] == ["1/1", "1/2"]
    assert [event.profiles for event in v201.events(ProfilesReported)] == [(1,), (2,)]
    assert [event.parts for event in v201.events(ReportCompleted)] == [2]


@pytest.mark.parametrize(
    ("parameters", "energy"),
    [
        ({"dcChargingParameters": {"evMaxCurrent": 100, "evMaxVoltage": 400, "energyAmount": 30_000}}, 30_000),
        ({"acChargingParameters": {"energyAmount": 9, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230}}, 9),
        ({}, None),
    ],
)
async def test_needs_without_a_session_are_kept_and_no_profile_is_promised(v201, parameters, energy):
    needs = {"requestedEnergyTransfer": "DC", "departureTime": stamp(60)} | parameters
    answer = await v201.say("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
    assert answer["status"] == "Rejected"
    assert [*kept(v201, "charging_needs")] == ["1"]
    (event,) = v201.events(NeedsReported)
    assert (event.energy_transfer, event.departure_at, event.energy_wh) == ("DC", after(60), energy)


async def test_schedule_of_a_car_is_taken(v201):
    sent = {"timeBase": stamp(0), "evseId": 1, "chargingSchedule": SCHEDULE}
    assert await v201.say("NotifyEVChargingSchedule", sent) == {"status": "Accepted"}
    assert [*kept(v201, "charging_schedule")] == ["1"]
    assert v201.events(ScheduleReported)
