"""Vendors' own messages (DataTransfer): one function each, here, and its test in `tests/blocks/test_vendors.py`.

A handler gets the message's data as sent (text in 1.6, any JSON in 2.x) and the context that every handler has: what it
puts into `ctx.unit` is committed before the answer leaves. It is found for every version:

    @vendor("com.example", "Rfid")
    async def card(data: Any, ctx: Context) -> Reply:
        return Reply(accepted=False)
"""

from __future__ import annotations

from typing import Any

from csms.blocks.data_transfer import Reply, vendor
from csms.blocks.dispatch import Context


@vendor("com.example", "Echo")
async def echo(data: Any, ctx: Context) -> Reply:
    """The example, and a test of the line: what was sent comes back."""
    return Reply(data)
