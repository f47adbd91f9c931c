"""`csms token …`"""

from __future__ import annotations


def test_token_is_added_and_listed(served):
    told = served("token", "add", "04A2B3C4", "--type", "ISO14443", "--group", "fleet").stdout
    assert told == "Token 04A2B3C4 is accepted for operator default.\n"
    told = served("token", "list").stdout
    assert "04A2B3C4" in told and "fleet" in told


def test_expired_token_says_so_at_once(served):
    told = served("token", "add", "OLD", "--expires", "2020-01-01T00:00:00Z").stdout
    assert told == "Token OLD is expired for operator default.\n"
    added = served.json("token", "add", "OLD2", "--expires", "2020-01-01T00:00:00Z")
    assert (added["status"], added["effective_status"]) == ("accepted", "expired")
    assert "2020-01-01 00:00:00 UTC" in served("token", "list").stdout


def test_wrong_values_are_told_with_advice(served):
    assert "time zone" in served.fails("token", "add", "X", "--expires", "2020-01-01T00:00:00")
    assert "body.status" in served.fails("token", "add", "X", "--status", "lost")
    assert served.json("token", "add", "X", "--status", "lost", status=1)["error"]["status"] == 422


def test_tokens_of_an_operator(served):
    assert served("token", "list", "--operator", "west").stdout == "No tokens yet. Add one: csms token add VALUE\n"
    served("token", "add", "W-1", "--operator", "west")
    assert [row["value"] for row in served.json("token", "list", "--operator", "west")] == ["W-1"]
