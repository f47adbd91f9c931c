"""Blocks L, N and O: the progress of each job under its request id, and what was asked for in parts."""

from __future__ import annotations

import pytest

from csms.domain import reports
from csms.domain.events import FirmwareProgressed, LogProgressed, ReportCompleted, ReportExceeded
from csms.ocpp.catalogue import Version
from tests.blocks.conversation import Conversation, stamp
from tests.blocks.test_device_model import kept


@pytest.mark.parametrize(
    ("version", "action", "kind"),
    [
        (Version.V16, "SignedFirmwareStatusNotification", "firmware"),
        (Version.V201, "FirmwareStatusNotification", "firmware"),
        (Version.V201, "PublishFirmwareStatusNotification", "published_firmware"),
    ],
)
async def test_firmware_progress_is_kept_by_request_and_told(version, action, kind):
    station = Conversation(version)
    for number, status in ((4, "Downloading"), (5, "Downloading"), (4, "Downloaded")):
        assert await station.say(action, {"status": status, "requestId": number}) == {}
    assert {key: data["status"] for key, data in kept(station, kind).items()} == {"4": "Downloaded", "5": "Downloading"}
    last = station.events(FirmwareProgressed)[-1]
    assert (last.status, last.request_id, last.published) == ("Downloaded", 4, kind != "firmware")


async def test_progress_without_a_request_id_is_the_latest(v16, v201):
    await v16.say("FirmwareStatusNotification", {"status": "Installed"})
    await v201.say("FirmwareStatusNotification", {"status": "Idle"})
    assert kept(v16, "firmware") == {"latest": {"status": "Installed"}}
    assert kept(v201, "firmware") == {"latest": {"status": "Idle"}}


async def test_log_progress_is_kept_and_told(v16, v201):
    for station in (v16, v201):
        await station.say("LogStatusNotification", {"status": "Uploading", "requestId": 3})
        assert kept(station, "log") == {"3": {"status": "Uploading", "requestId": 3}}
        assert station.events(LogProgressed)[0].request_id == 3


async def test_diagnostics_progress_is_kept_and_told(v16):
    await v16.say("DiagnosticsStatusNotification", {"status": "UploadFailed"})
    assert kept(v16, "diagnostics") == {"latest": {"status": "UploadFailed"}}
    assert v16.events(LogProgressed)[0].status == "UploadFailed"


async def test_T85_customer_information_is_kept_in_its_order(v201):
    for number, more in ((1, False), (0, True)):
        part = {"data": f"part {number}", "seqNo": number, "generatedAt": stamp(0), "requestId": 2, "tbc": more}
        await v201.say("NotifyCustomerInformation", part)
    assert [data["data"] for _, data in sorted(kept(v201, "customer_information").items())] == ["part 0", "part 1"]
    assert [event.report for event in v201.events(ReportCompleted)] == ["customer_information"]


async def test_display_messages_are_kept_by_their_ids(v201):
    message = {"priority": "NormalCycle", "message": {"format": "UTF8", "content": "hello"}}
    for id, more in ((1, True), (2, False)):
        await v201.say("NotifyDisplayMessages", {"requestId": 6, "messageInfo": [{"id": id} | message], "tbc": more})
    await v201.say("NotifyDisplayMessages", {"requestId": 7})
    assert [*kept(v201, "display_message")] == ["1", "2"]
    assert [(event.request_id, event.parts) for event in v201.events(ReportCompleted)] == [(6, 2), (7, 1)]


async def test_I7_endless_chains_are_answered_and_no_longer_kept(v201, monkeypatch):
    monkeypatch.setattr(reports, "MOST_PARTS", 2)
    message = {"id": 1, "priority": "NormalCycle", "message": {"format": "UTF8", "content": "hello"}}
    schedule = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1.0}]}
    profile = {
        "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
    }  # fmt: skip
    for number in range(4):
        numbered = {"data": "x", "seqNo": number, "generatedAt": stamp(0)}
        profiles = {"chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": [profile | {"id": number}]}
        for action, part in (
            ("NotifyCustomerInformation", numbered),
            ("NotifyDisplayMessages", {"messageInfo": [message | {"id": number}]}),
            ("ReportChargingProfiles", profiles),
        ):  # fmt: skip
            await v201.say(action, part | {"requestId": 1, "tbc": True})
    assert [len(kept(v201, kind)) for kind in ("customer_information", "display_message", "charging_profile")] == [
        2
    ] * 3
    assert {event.report for event in v201.events(ReportExceeded)} == {
        "customer_information", "display_messages", "charging_profiles",
    }  # fmt: skip
    assert len(v201.events(ReportExceeded)) == 3
