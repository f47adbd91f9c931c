"""`csms tail`, `csms trail`, `csms webhook`"""

from __future__ import annotations

import pytest

from csms.cli.events import told


def test_tail_shows_what_happened_and_ends_after_so_many(served):
    served("station", "add", "CS-T")
    served("command", "CS-T", "ClearCache", status=1)
    result = served("tail", "CS-T", "--after", "0", "--count", "1")
    assert result.stderr == "", "no stream is left to be closed by the end of the program"
    found = result.stdout
    assert "CS-T  command.settled" in found and "action=ClearCache status=offline" in found
    event = served.json("tail", "CS-T", "--after", "0", "--count", "1", "--type", "command.*")
    assert (event["station"], event["type"]) == ("CS-T", "command.settled")


def test_tail_needs_a_running_server(cli):
    assert "csms serve" in cli.fails("tail", "--count", "1")


def test_tail_tells_of_wrong_filters(served):
    assert "session.opened" in served.fails("tail", "--type", "nonsense")
    assert "event_id" in served.fails("tail", "--after", "yesterday")


def test_trail_of_a_station_that_said_nothing(served):
    served("station", "add", "CS-U")
    assert served("trail", "CS-U").stdout == "Nothing was said lately.\n"
    assert served.json("trail", "CS-U", "--trace", "60") == []
    assert served.json("trail", "CS-U", "--trace", "0") == []
    assert "no station" in served.fails("trail", "NONE")
    assert "no session 1" in served.fails("trail", "CS-U", "--session", "1")


def test_webhook_is_added_listed_tested_and_removed(served):
    made = served("webhook", "add", "https://receiver.invalid/", "--type", "session.*").stdout
    assert "whsec_" in made
    number = made.split()[1]
    listed = served("webhook", "list").stdout
    assert "https://receiver.invalid/" in listed and "closed" in listed and "whsec_" not in listed
    assert "did not take it" in served("webhook", "test", number, status=1).stdout
    assert served.json("webhook", "remove", number) == {"removed": int(number)}
    assert "no webhook" in served.fails("webhook", "remove", number)
    assert "OUTBOUND_ALLOWED" in served.fails("webhook", "add", "http://127.0.0.1/")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"event_id": "1-0", "operator": "o", "station": "S", "type": "t", "at": "2026-05-04T12:00:00Z", "x": 1},
         "2026-05-04 12:00:00 UTC  S  t  x=1"),
        ({"event_id": "1-0", "operator": "o", "station": "S\x1b[31m", "type": "t", "at": "2026-05-04T12:00:00Z"},
         "2026-05-04 12:00:00 UTC  S\ufffd[31m  t"),
        ({"type": "stream.gap", "after": "1", "oldest": "5-0"}, '{"type":"stream.gap","after":"1","oldest":"5-0"}'),
    ],
)  # fmt: skip
def test_events_are_told_without_painting_on_the_terminal(event, words):
    assert told(event) == words
