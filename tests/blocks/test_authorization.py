"""Blocks C and D: the same token gets the same verdict, in the words of each version."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from csms.blocks.authorization import VERDICT_2X, VERDICT_16
from csms.domain.tokens import Token, Verdict
from tests.blocks.conversation import NOON, Conversation


async def verdict_16(station: Conversation, tag: str) -> str:
    return (await station.say("Authorize", {"idTag": tag}))["idTagInfo"]["status"]


async def verdict_2x(station: Conversation, token: str, type: str = "ISO14443") -> str:
    return (await station.say("Authorize", {"idToken": {"idToken": token, "type": type}}))["idTokenInfo"]["status"]


def test_every_verdict_has_a_word_in_every_version():
    assert VERDICT_16.keys() == VERDICT_2X.keys() == {*get_args(Verdict)}


@pytest.mark.parametrize(
    ("fields", "in_16", "in_2x"),
    [
        (None, "Invalid", "Unknown"),
        ({}, "Accepted", "Accepted"),
        ({"status": "blocked"}, "Blocked", "Blocked"),
        ({"status": "invalid"}, "Invalid", "Invalid"),
        ({"expires_at": NOON}, "Expired", "Expired"),
    ],
)
async def test_verdict_in_the_words_of_each_version(v16, v201, fields, in_16, in_2x):
    for station in (v16, v201):
        if fields is not None:
            station.token("TAG", **fields)
    assert await verdict_16(v16, "TAG") == in_16
    assert await verdict_2x(v201, "TAG") == in_2x


async def test_group_and_expiry_are_told_in_whole_seconds(v16, v201):
    until = NOON + timedelta(days=1, microseconds=5)
    for station in (v16, v201):
        station.token("TAG", group="G", expires_at=until)
    assert (await v16.say("Authorize", {"idTag": "TAG"}))["idTagInfo"] == {
        "status": "Accepted", "parentIdTag": "G", "expiryDate": "2026-05-05T12:00:00Z",
    }  # fmt: skip
    answer = await v201.say("Authorize", {"idToken": {"idToken": "TAG", "type": "ISO14443"}})
    assert answer["idTokenInfo"] == {
        "status": "Accepted", "groupIdToken": {"idToken": "G", "type": "Central"},
        "cacheExpiryDateTime": "2026-05-05T12:00:00Z",
    }  # fmt: skip


async def test_over_long_group_fits_the_answer_of_each_version(v16, v201):
    for station in (v16, v201):
        station.token("TAG", group="G" * 50)
    assert await verdict_16(v16, "TAG") == "Accepted"
    assert await verdict_2x(v201, "TAG") == "Accepted"


async def test_T28_no_authorization_is_accepted_with_an_empty_value(v201):
    assert await verdict_2x(v201, "", "NoAuthorization") == "Accepted"


@pytest.mark.parametrize(
    ("kept", "asked", "verdict"),
    [
        ("ISO14443", "ISO14443", "Accepted"),
        ("ISO14443", "KeyCode", "Unknown"),
        (None, "KeyCode", "Accepted"),
    ],
)
async def test_T29_same_text_of_another_type_is_another_token(v201, kept, asked, verdict):
    v201.token("TAG", type=kept)
    assert await verdict_2x(v201, "TAG", asked) == verdict


async def test_T29_16_knows_no_types(v16):
    v16.token("TAG", type="KeyCode")
    assert await verdict_16(v16, "TAG") == "Accepted"


async def test_T30_case_does_not_matter(v16):
    v16.token("AbCd")
    assert await verdict_16(v16, "aBcD") == "Accepted"


@pytest.mark.parametrize("tag", ["", "   ", "X" * 21, "X" * 300])
async def test_T31_blank_or_over_long_tag_is_invalid_not_an_error(v16, tag):
    assert await verdict_16(v16, tag) == "Invalid"


async def test_T33_group_is_never_a_token_of_its_own(v16):
    v16.token("TAG", group="G")
    assert await verdict_16(v16, "G") == "Invalid"


async def test_tokens_of_another_operator_are_unknown(v16):
    v16.records.add_token(2, Token("TAG"))
    assert await verdict_16(v16, "TAG") == "Invalid"
