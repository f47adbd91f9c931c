"""Block P: a vendor's message finds its handler, and who has none is told so."""

from __future__ import annotations

from typing import Any

import pytest

from csms.blocks import data_transfer
from csms.blocks.data_transfer import Reply, vendor
from csms.blocks.dispatch import Context
from csms.domain.events import DataTransferred
from tests.blocks.test_device_model import kept


@pytest.fixture(autouse=True)
def vendors(monkeypatch):
    """Nobody but those of the test."""
    monkeypatch.setattr(data_transfer, "_VENDORS", {})

    @vendor("com.acme", "Ask")
    async def ask(data: Any, ctx: Context) -> Reply:
        return Reply({"got": data})

    @vendor("com.acme", "Never")
    async def never(data: Any, ctx: Context) -> Reply:
        return Reply(accepted=False)


@pytest.mark.parametrize(
    ("vendor_id", "message", "status"),
    [
        ("org.nobody", {"messageId": "Ask"}, "UnknownVendorId"),
        ("com.acme", {"messageId": "Other"}, "UnknownMessageId"),
        ("com.acme", {}, "UnknownMessageId"),
        ("com.acme", {"messageId": "Never"}, "Rejected"),
    ],
)
async def test_T84_unknown_vendor_and_message_are_called_so(v16, v201, vendor_id, message, status):
    for station in (v16, v201):
        assert await station.say("DataTransfer", {"vendorId": vendor_id, "data": "x"} | message) == {"status": status}
        (event,) = station.events(DataTransferred)
        assert (event.vendor, event.message, event.answer) == (vendor_id, message.get("messageId"), status)


async def test_data_is_text_in_16_and_anything_in_2x(v16, v201):
    sent = {"vendorId": "COM.acme", "messageId": "ask", "data": "x"}
    assert (await v16.say("DataTransfer", sent))["data"] == '{"got":"x"}'
    assert (await v201.say("DataTransfer", sent))["data"] == {"got": "x"}


async def test_latest_of_each_message_is_kept_known_or_not(v16):
    for data in ("1", "2"):
        await v16.say("DataTransfer", {"vendorId": "org.nobody", "data": data})
    assert kept(v16, "data_transfer") == {"org.nobody/": {"vendorId": "org.nobody", "data": "2"}}


def test_message_of_a_vendor_has_one_handler():
    with pytest.raises(TypeError, match="two handlers"):

        @vendor("COM.ACME", "ASK")
        async def again(data: Any, ctx: Context) -> Reply:
            """Never registered."""
            return Reply()
