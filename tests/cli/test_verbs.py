"""`csms ask`"""

from __future__ import annotations

import pytest


def test_station_that_is_away_is_told_with_what_to_do(served):
    served("station", "add", "CS-V")
    result = served("ask", "CS-V", "reset", "type=hard", status=1)
    assert "not connected" in result.stdout
    told = served.json("ask", "CS-V", "availability", "operative=false", "evse_id=2", status=1)
    assert (told["status"], told["request"]) == ("offline", {"connectorId": 2, "type": "Inoperative"})


def test_several_messages_are_told_with_what_became_of_them(served):
    served("station", "add", "CS-V")
    told = served.json("ask", "CS-V", "configuration", 'values={"A":"1","B":"2"}', status=1)
    assert (told["status"], told["planned"], len(told["commands"])) == ("offline", 2, 1)
    assert "not connected" in served("ask", "CS-V", "configuration", 'values={"A":"1"}', status=1).stdout


def test_what_cannot_be_said_is_told_with_what_to_do(served):
    served("station", "add", "CS-V")
    assert "as a whole" in served.fails("ask", "CS-V", "reset", "evse_id=1")
    assert "/configuration" in served.fails("ask", "CS-V", "variables/read", "variables=[]")
    assert "no station" in served.fails("ask", "NONE", "reset")


@pytest.mark.parametrize("words", [("levitate",), ("reset", "hard")])
def test_unknown_verbs_and_words_are_refused(cli, words):
    assert cli("ask", "CS-V", *words, status=2).stderr
