"""Jobs and reports are followed from the question on."""

from __future__ import annotations

import json

import pytest

from csms.domain.asked import ReportExpected
from tests.blocks.test_asking import TIME, V16, V201, told

LOG = {"logType": "SecurityLog", "requestId": 4, "log": {"remoteLocation": "https://a.example"}}


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ({"status": "Accepted", "filename": "x"}, {"status": "Accepted", "fileName": "x"}),
        ({"status": "Rejected"}, {"status": "Rejected"}),
        (None, {"status": "Unknown"}),
    ],
)
def test_job_is_known_with_what_the_station_said_to_it(response, said):
    for version in (V16, V201):
        ((data, key, kind),) = told(version, "GetLog", LOG, response)
        assert (kind, key) == ("job", "GetLog/4")
        assert json.loads(data) == {"action": "GetLog", "requestId": 4} | said


def test_job_that_its_version_gives_no_status_was_taken_when_answered():
    update = {"location": "https://a.example", "retrieveDate": TIME}
    ((data, key, _),) = told(V16, "UpdateFirmware", update, {})
    assert (key, json.loads(data)) == ("UpdateFirmware/None", {"action": "UpdateFirmware", "status": "Accepted"})


def test_report_is_expected_only_when_it_was_promised():
    request = {"requestId": 3, "reportBase": "FullInventory"}
    assert told(V201, "GetBaseReport", request, {"status": "Accepted"}) == [ReportExpected("variables", 3)]
    for refusal in ("Rejected", "NotSupported", "EmptyResultSet"):
        assert told(V201, "GetBaseReport", request, {"status": refusal}) == []
    clearing = {"requestId": 3, "report": False, "clear": True}
    assert told(V201, "CustomerInformation", clearing, {"status": "Accepted"}) == []
