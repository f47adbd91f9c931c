"""Functional blocks L, N and O: how far firmware and logs are, what is said of customers, and what displays show."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.blocks.dispatch import Context, answers, received
from csms.blocks.reports import keep, takes_part
from csms.domain.events import FirmwareProgressed, LogProgressed
from csms.domain.unit import Reported
from csms.ocpp import v16, v201

FIRMWARE, PUBLICATION, LOG, DIAGNOSTICS = "firmware", "published_firmware", "log", "diagnostics"
CUSTOMER, DISPLAY = "customer_information", "display_message"
LATEST = "latest"  # The key of a job that the station names by no request id.

FirmwareStatus = (
    v16.FirmwareStatusNotification | v16.SignedFirmwareStatusNotification | v201.FirmwareStatusNotification
)  # fmt: skip


@answers
async def firmware(request: FirmwareStatus, ctx: Context) -> object:
    request_id = getattr(request, "request_id", None)  # 1.6 core knows one update at a time.
    _progress(ctx, FIRMWARE, request_id, request)
    ctx.unit.events.append(FirmwareProgressed(at=ctx.now, status=request.status, request_id=request_id))
    return received(request)


@answers
async def publication(
    request: v201.PublishFirmwareStatusNotification, ctx: Context
) -> v201.PublishFirmwareStatusNotificationResponse:
    _progress(ctx, PUBLICATION, request.request_id, request)
    ctx.unit.events.append(
        FirmwareProgressed(at=ctx.now, status=request.status, request_id=request.request_id, published=True)
    )
    return v201.PublishFirmwareStatusNotificationResponse()


@answers
async def log(request: v16.LogStatusNotification | v201.LogStatusNotification, ctx: Context) -> object:
    _progress(ctx, LOG, request.request_id, request)
    ctx.unit.events.append(LogProgressed(at=ctx.now, status=request.status, request_id=request.request_id))
    return received(request)


@answers
async def diagnostics(
    request: v16.DiagnosticsStatusNotification, ctx: Context
) -> v16.DiagnosticsStatusNotificationResponse:
    _progress(ctx, DIAGNOSTICS, None, request)
    ctx.unit.events.append(LogProgressed(at=ctx.now, status=request.status))
    return v16.DiagnosticsStatusNotificationResponse()


@answers
async def customer_information(
    request: v201.NotifyCustomerInformation, ctx: Context
) -> v201.NotifyCustomerInformationResponse:
    if await takes_part(ctx, CUSTOMER, request.request_id, number=request.seq_no, more=request.tbc):
        keep(ctx, CUSTOMER, f"{request.request_id}/{request.seq_no:05}", request)
    return v201.NotifyCustomerInformationResponse()


@answers
async def display_messages(request: v201.NotifyDisplayMessages, ctx: Context) -> v201.NotifyDisplayMessagesResponse:
    if await takes_part(ctx, "display_messages", request.request_id, number=None, more=request.tbc):
        for message in request.message_info or ():
            keep(ctx, DISPLAY, str(message.id), message)
    return v201.NotifyDisplayMessagesResponse()


def _progress(ctx: Context, kind: str, request_id: int | None, request: object) -> None:
    keep(ctx, kind, LATEST if request_id is None else str(request_id), request)


@settles
def message_set(request: v201.SetDisplayMessage, response: v201.SetDisplayMessageResponse | None) -> Iterator[Reported]:
    if response is not None and response.status == "Accepted":
        yield Reported(DISPLAY, str(request.message.id), msgspec.json.encode(request.message))


@settles
def message_cleared(
    request: v201.ClearDisplayMessage, response: v201.ClearDisplayMessageResponse | None
) -> Iterator[Reported]:
    if response is not None:  # Accepted; Unknown: the station has none of this number.
        yield Reported(DISPLAY, str(request.id), b"null")
