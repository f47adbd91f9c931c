"""Functional blocks I and K: limits that others set, profiles that are installed, and what cars want."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.blocks.dispatch import Context, answers
from csms.blocks.reports import keep, takes_part
from csms.domain.asked import ProfileInstalled, ProfilesCleared
from csms.domain.events import LimitChanged, NeedsReported, ProfilesReported, ScheduleReported
from csms.ocpp import v16, v201

LIMIT, PROFILE, NEEDS, SCHEDULE = "charging_limit", "charging_profile", "charging_needs", "charging_schedule"

# K15: no service that would make a schedule of these needs, so the car charges within what is installed.
NO_SCHEDULER = v201.StatusInfo(reason_code="UnsupportedRequest")


@answers
async def limit(request: v201.NotifyChargingLimit, ctx: Context) -> v201.NotifyChargingLimitResponse:
    source, evse_id = request.charging_limit.charging_limit_source, request.evse_id or 0
    keep(ctx, LIMIT, _place(evse_id, source), request)
    ctx.unit.events.append(LimitChanged(at=ctx.now, source=source, evse_id=evse_id))
    return v201.NotifyChargingLimitResponse()


@answers
async def limit_cleared(request: v201.ClearedChargingLimit, ctx: Context) -> v201.ClearedChargingLimitResponse:
    source, evse_id = request.charging_limit_source, request.evse_id or 0
    keep(ctx, LIMIT, _place(evse_id, source), None)
    ctx.unit.events.append(LimitChanged(at=ctx.now, source=source, evse_id=evse_id, cleared=True))
    return v201.ClearedChargingLimitResponse()


@answers
async def profiles(request: v201.ReportChargingProfiles, ctx: Context) -> v201.ReportChargingProfilesResponse:
    source, evse_id = request.charging_limit_source, request.evse_id
    if await takes_part(ctx, "charging_profiles", request.request_id, number=None, more=request.tbc):
        for profile in request.charging_profile:
            keep(ctx, PROFILE, _place(evse_id, profile.id), {"chargingLimitSource": source, "chargingProfile": profile})
        ids = tuple(profile.id for profile in request.charging_profile)
        ctx.unit.events.append(ProfilesReported(at=ctx.now, evse_id=evse_id, source=source, profiles=ids))
    return v201.ReportChargingProfilesResponse()


@answers
async def needs(request: v201.NotifyEVChargingNeeds, ctx: Context) -> v201.NotifyEVChargingNeedsResponse:
    wanted = request.charging_needs
    keep(ctx, NEEDS, str(request.evse_id), request)
    ctx.unit.events.append(
        NeedsReported(
            at=ctx.now, evse_id=request.evse_id, energy_transfer=wanted.requested_energy_transfer,
            departure_at=wanted.departure_time, energy_wh=_energy(wanted),
        )
    )  # fmt: skip
    return v201.NotifyEVChargingNeedsResponse(status="Rejected", status_info=NO_SCHEDULER)


@answers
async def schedule(request: v201.NotifyEVChargingSchedule, ctx: Context) -> v201.NotifyEVChargingScheduleResponse:
    """Accepted says that it was understood, not that it is approved (K17)."""
    keep(ctx, SCHEDULE, str(request.evse_id), request)
    ctx.unit.events.append(ScheduleReported(at=ctx.now, evse_id=request.evse_id))
    return v201.NotifyEVChargingScheduleResponse(status="Accepted")


def _energy(needs: v201.ChargingNeeds) -> float | None:
    parameters = needs.dc_charging_parameters or needs.ac_charging_parameters
    return None if parameters is None else parameters.energy_amount


def _place(evse_id: int, name: object) -> str:
    return f"{evse_id}/{name}"


@settles
def installed_16(
    request: v16.SetChargingProfile, response: v16.SetChargingProfileResponse | None
) -> Iterator[ProfileInstalled]:
    profile = request.cs_charging_profiles
    if response is not None and response.status == "Accepted":
        yield _installed(request.connector_id, profile.charging_profile_id, profile)


@settles
def installed_2x(
    request: v201.SetChargingProfile, response: v201.SetChargingProfileResponse | None
) -> Iterator[ProfileInstalled]:
    if response is not None and response.status == "Accepted":
        yield _installed(request.evse_id, request.charging_profile.id, request.charging_profile)


@settles
def cleared_16(
    request: v16.ClearChargingProfile, response: v16.ClearChargingProfileResponse | None
) -> Iterator[ProfilesCleared]:
    if response is not None and response.status == "Accepted":
        yield ProfilesCleared(
            profile_id=request.id, evse_id=request.connector_id, purpose=request.charging_profile_purpose,
            stack_level=request.stack_level,
        )  # fmt: skip


@settles
def cleared_2x(
    request: v201.ClearChargingProfile, response: v201.ClearChargingProfileResponse | None
) -> Iterator[ProfilesCleared]:
    criteria = request.charging_profile_criteria or v201.ClearChargingProfileType()
    if response is not None and response.status == "Accepted":
        yield ProfilesCleared(
            profile_id=request.charging_profile_id, evse_id=criteria.evse_id,
            purpose=criteria.charging_profile_purpose, stack_level=criteria.stack_level,
        )  # fmt: skip


def _installed(evse_id: int, profile_id: int, profile: v16.ChargingProfile | v201.ChargingProfile) -> ProfileInstalled:
    return ProfileInstalled(
        profile_id=profile_id, evse_id=evse_id, purpose=profile.charging_profile_purpose,
        stack_level=profile.stack_level, profile=msgspec.to_builtins(profile),
    )  # fmt: skip
