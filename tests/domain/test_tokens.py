"""Tokens: looked up without regard to case, and judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.tokens import FREE, UNKNOWN, Decision, Token, decide, folded

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@given(st.text(st.characters(codec="ascii")))
def test_T30_tokens_are_compared_without_case_and_outer_blanks(value: str):
    assert folded(value) == folded(value.upper()) == folded(value.lower()) == folded(f" {value} ")


@given(st.text())
def test_folding_twice_changes_nothing_more(value: str):
    assert folded(folded(value)) == folded(value)


@pytest.mark.parametrize("value", ["DE-ABC-123456789-X", "DE-ABC-123456789X", "de-abc123456789-x", "DEABC123456789X"])
def test_T29_contract_id_is_the_same_with_and_without_hyphens(value: str):
    assert folded(value) == "deabc123456789x"


@pytest.mark.parametrize("value", ["04-A1-B2", "DE-ABC-12345678", "D3-ABC-123456789", "DE--ABC123456789"])
def test_T29_hyphens_of_other_tokens_count(value: str):
    assert folded(value) == value.casefold()


def test_T30_value_stays_as_given():
    assert Token("AbC").value == "AbC"


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        (None, "unknown"),
        (Token("A"), "accepted"),
        (Token("A", status="blocked"), "blocked"),
        (Token("A", status="invalid"), "invalid"),
        (Token("A", status="expired"), "expired"),
        (Token("A", expires_at=NOW), "expired"),
        (Token("A", expires_at=NOW - timedelta(days=1)), "expired"),
        (Token("A", expires_at=NOW + timedelta(seconds=1)), "accepted"),
        (Token("A", status="blocked", expires_at=NOW), "blocked"),
    ],
)
def test_decision_follows_status_and_expiry(token, verdict):
    assert decide(token, NOW).verdict == verdict


def test_decision_tells_group_and_expiry():
    until = NOW + timedelta(days=1)
    assert decide(Token("A", group="G", expires_at=until), NOW) == Decision("accepted", "G", until)


def test_only_accepted_is_accepted():
    assert FREE.accepted
    assert not UNKNOWN.accepted
