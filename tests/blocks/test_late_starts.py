"""Starts that come after what they began: over reconnects, and beside the token that stops."""

from __future__ import annotations

from typing import Any

from tests.blocks.conversation import stamp


async def test_start_that_comes_after_its_end_and_a_reconnect_opens_no_second_session(v201):
    """The end came by an earlier connection; an older transaction's start must not make this one look new."""

    def event(kind: str, transaction: str, minute: float, seq: int) -> dict[str, Any]:
        return {
            "eventType": kind, "timestamp": stamp(minute), "triggerReason": "CablePluggedIn", "seqNo": seq,
            "transactionInfo": {"transactionId": transaction},
        }  # fmt: skip

    await v201.say("TransactionEvent", event("Ended", "B", 9, 1))
    await v201.restart()
    await v201.say("TransactionEvent", event("Started", "A", 0, 0))
    await v201.say("TransactionEvent", event("Started", "B", 7, 0))
    assert sorted((each.transaction_id, each.complete) for each in v201.sessions) == [("A", False), ("B", True)]


async def test_token_that_stops_a_transaction_is_not_the_one_it_belongs_to(v201):
    """Also where it arrives before the one that began it."""
    for token in ("FIRST", "SECOND"):
        v201.token(token, group="G")

    def event(trigger: str, token: str, minute: float, seq: int) -> dict[str, Any]:
        return {
            "eventType": "Updated", "timestamp": stamp(minute), "triggerReason": trigger, "seqNo": seq,
            "transactionInfo": {"transactionId": "A"}, "idToken": {"idToken": token, "type": "Central"},
        }  # fmt: skip

    await v201.say("TransactionEvent", event("StopAuthorized", "SECOND", 9, 5))
    await v201.say("TransactionEvent", event("Authorized", "FIRST", 1, 1))
    assert v201.session.token == "FIRST"
