"""Vendors' own messages."""

from __future__ import annotations


async def test_echo_comes_back_in_every_version(v16, v201):
    message = {"vendorId": "com.example", "messageId": "Echo"}
    assert await v16.say("DataTransfer", message | {"data": "hello"}) == {"status": "Accepted", "data": "hello"}
    assert await v201.say("DataTransfer", message | {"data": {"a": [1]}}) == {"status": "Accepted", "data": {"a": [1]}}
