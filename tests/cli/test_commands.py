"""`csms command`"""

from __future__ import annotations

import pytest

from csms.cli.commands import told


def test_station_that_is_away_is_told_with_what_to_do(served):
    served("station", "add", "CS-A")
    result = served("command", "CS-A", "ClearCache", status=1)
    assert "not connected" in result.stdout and "--queue" in result.stdout
    assert served.json("command", "CS-A", "ClearCache", status=1)["status"] == "offline"


def test_payload_that_breaks_the_schema_is_told_with_its_place(served):
    served("station", "add", "CS-A")
    assert "type" in served.fails("command", "CS-A", "Reset", '{"type": "Lukewarm"}')
    assert "no JSON" in served.fails("command", "CS-A", "Reset", "{")
    assert "no station" in served.fails("command", "NONE", "ClearCache")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "answered", "response": {"status": "Rejected"}}, 'answered Reset: {"status":"Rejected"}'),
        ({"status": "pending", "id": 7}, "command 7"),
        ({"status": "error", "error": {"code": "NotSupported", "description": "no"}}, "NotSupported no"),
        ({"status": "offline", "error": {"description": "Its boot was rejected."}}, "Its boot was rejected."),
        ({"status": "timeout"}, "(timeout): it may have taken effect"),
    ],
)
def test_every_outcome_is_told(fields, words):
    assert words in told({"station": "CS-1", "action": "Reset", "error": None} | fields)
