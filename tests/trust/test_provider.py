"""The contract provider behind HTTP: passed on and back untouched, or not at all."""

from __future__ import annotations

import json

import pytest

from csms.trust.provider import MOST, MOST_EXI, HttpProvider
from tests.responder import Provider, open_site


async def test_request_and_answer_pass_untouched():
    async with open_site(Provider()) as site:
        answer = await HttpProvider(site.url).ev_certificate("urn:iso", "Install", "abc+/=")
        assert answer == (True, "=/+cba")
        asked = {"iso15118SchemaVersion": "urn:iso", "action": "Install", "exiRequest": "abc+/="}
        assert [json.loads(body) for body in site.asked] == [asked]
        site.status = "Failed"
        assert await HttpProvider(site.url).ev_certificate("urn:iso", "Update", "ab") == (False, "ba")


@pytest.mark.parametrize(
    "answer",
    [(500, b""), (302, b""), (200, b"<html>"), (200, b"{}"), (200, b'{"status":"Maybe","exiResponse":""}'),
     (200, b"x" * (MOST + 1)),
     (200, json.dumps({"status": "Accepted", "exiResponse": "x" * (MOST_EXI + 1)}).encode())],
)  # fmt: skip
async def test_answer_that_cannot_be_passed_on_is_none(answer):
    async with open_site(Provider()) as site:
        site.answer = lambda body: answer
        assert await HttpProvider(site.url).ev_certificate("urn:iso", "Install", "AAAA") is None


async def test_provider_that_is_away_or_silent_is_not_waited_for():
    assert await HttpProvider("http://127.0.0.1:9/").ev_certificate("urn:iso", "Install", "AAAA") is None
    async with open_site(Provider()) as site:
        site.silent = True
        assert await HttpProvider(site.url, timeout=0.2).ev_certificate("urn:iso", "Install", "AAAA") is None
