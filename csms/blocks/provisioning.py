"""Functional block B: a station says what it is, and is told whether it may work here."""

from __future__ import annotations

from datetime import datetime

from csms.blocks.asking import Question
from csms.blocks.dispatch import Context, Impostor, answers
from csms.domain.events import StationBooted
from csms.domain.stations import Boot
from csms.ocpp import v16, v201

REGISTRATION = {"accepted": "Accepted", "pending": "Pending", "rejected": "Rejected"}


@answers
async def boot_16(request: v16.BootNotification, ctx: Context) -> v16.BootNotificationResponse:
    boot = Boot(
        vendor=request.charge_point_vendor,
        model=request.charge_point_model,
        serial=request.charge_point_serial_number or request.charge_box_serial_number,
        firmware=request.firmware_version,
        iccid=request.iccid,
        imsi=request.imsi,
    )
    status, interval = _booted(ctx, boot)
    return v16.BootNotificationResponse(status=status, current_time=wire_time(ctx), interval=interval)


@answers
async def boot_2x(request: v201.BootNotification, ctx: Context) -> v201.BootNotificationResponse:
    station, modem = request.charging_station, request.charging_station.modem
    named = ctx.station.common_name
    if named is not None and station.serial_number not in (None, named):
        raise Impostor(f"its certificate names {named!r}, its boot the serial number {station.serial_number!r}")
    boot = Boot(
        vendor=station.vendor_name,
        model=station.model,
        serial=station.serial_number,
        firmware=station.firmware_version,
        iccid=modem.iccid if modem else None,
        imsi=modem.imsi if modem else None,
        reason=request.reason,
    )
    status, interval = _booted(ctx, boot)
    if ctx.policy.reread_after_boot and status == "Accepted" and request.reason != "Triggered":
        ctx.afterwards = _what_may_be_gone
    return v201.BootNotificationResponse(status=status, current_time=wire_time(ctx), interval=interval)


async def _what_may_be_gone() -> tuple[Question, ...]:
    """A reboot may have undone monitors and profiles (T87): what we installed is asked for again."""
    ours = {"chargingLimitSource": ["CSO"]}
    return Question("GetMonitoringReport", {}), Question("GetChargingProfiles", {"chargingProfile": ours})


def _booted(ctx: Context, boot: Boot) -> tuple[str, int]:
    """Take the operator's decision over as the station's registration; it outlives connection and restart (T41).

    One that waits repeats its boot for days, and an accepted one may be asked for it: what says nothing new changes
    nothing (`Station.is_booted_as`). A 1.6 station that has restarted comes with a new connection.
    """
    admission = ctx.station.admission
    if ctx.station.is_booted_as(boot):
        return REGISTRATION[admission], ctx.policy.interval(admission == "accepted", ctx.now)
    ctx.unit.booted = boot
    ctx.unit.quirk = ctx.policy.quirks.of(boot.vendor, boot.model, boot.firmware, ctx.station.identity)
    ctx.unit.registration = admission
    ctx.unit.events.append(
        StationBooted(
            at=ctx.now, registration=admission, vendor=boot.vendor, model=boot.model, firmware=boot.firmware,
            serial=boot.serial,
        )
    )  # fmt: skip
    return REGISTRATION[admission], ctx.policy.interval(admission == "accepted", ctx.now)


def wire_time(ctx: Context) -> datetime | str:
    """Now, in whole seconds: some stations reject fractions of a second, and a few ask for three decimals (T48, T50)."""
    quirk = ctx.unit.quirk if ctx.booting else ctx.station.quirk
    if quirk is not None and quirk.milliseconds:
        return ctx.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ctx.now.replace(microsecond=0)
