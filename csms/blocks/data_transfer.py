"""Functional block P: a vendor's own messages; who knows none of them says so (T84).

Vendors' handlers stand in `csms.blocks.vendors`; this is how they are found and answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from csms.blocks.dispatch import Context, answers
from csms.blocks.reports import keep
from csms.domain.events import DataTransferred
from csms.ocpp import v16, v201

DATA = "data_transfer"


class Reply(NamedTuple):
    """What a vendor's handler answers. `data` of an answer in 1.6 is text: anything else is written as JSON."""

    data: Any = None
    accepted: bool = True

    @property
    def status(self) -> str:
        return "Accepted" if self.accepted else "Rejected"


VendorHandler = Callable[[Any, Context], Awaitable[Reply]]
H = TypeVar("H", bound=VendorHandler)

_VENDORS: dict[str, dict[str, VendorHandler]] = {}
_encode = msgspec.json.Encoder().encode


def vendor(vendor_id: str, message_id: str = "") -> Callable[[H], H]:
    """Register the handler of one message of one vendor; both are compared without case."""

    def register(handler: H) -> H:
        messages = _VENDORS.setdefault(vendor_id.casefold(), {})
        if message_id.casefold() in messages:
            raise TypeError(f"{vendor_id} {message_id} has two handlers")
        messages[message_id.casefold()] = handler
        return handler

    return register


@answers
async def data_16(request: v16.DataTransfer, ctx: Context) -> v16.DataTransferResponse:
    status, data = await _transferred(request, ctx)
    text = data if data is None or isinstance(data, str) else _encode(data).decode()
    return v16.DataTransferResponse(status=status, data=text)


@answers
async def data_2x(request: v201.DataTransfer, ctx: Context) -> v201.DataTransferResponse:
    status, data = await _transferred(request, ctx)
    return v201.DataTransferResponse(status=status, data=data)


async def _transferred(request: v16.DataTransfer | v201.DataTransfer, ctx: Context) -> tuple[str, Any]:
    """Ask the vendor's handler, and keep the latest of each message, known or not."""
    keep(ctx, DATA, f"{request.vendor_id}/{request.message_id or ''}", request)
    messages = _VENDORS.get(request.vendor_id.casefold())
    handler = messages.get((request.message_id or "").casefold()) if messages else None
    if handler is not None:
        reply = await handler(request.data, ctx)
        status, data = reply.status, reply.data
    else:
        status, data = "UnknownMessageId" if messages else "UnknownVendorId", None
    ctx.unit.events.append(
        DataTransferred(at=ctx.now, vendor=request.vendor_id, message=request.message_id, answer=status)
    )
    return status, data
