"""Functional block K: limits that others set, and profiles that are installed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.blocks.dispatch import Context, answers
from csms.blocks.reports import keep, takes_part
from csms.domain.asked import Forgotten, ProfileInstalled, ProfilesCleared
from csms.domain.events import LimitChanged, ProfilesReported
from csms.ocpp import v16, v201

LIMIT, PROFILE = "charging_limit", "charging_profile"


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
    if response is not None and _is_gone(response.status, request.id):
        yield ProfilesCleared(
            profile_id=request.id, evse_id=request.connector_id, purpose=request.charging_profile_purpose,
            stack_level=request.stack_level,
        )  # fmt: skip


@settles
def cleared_2x(
    request: v201.ClearChargingProfile, response: v201.ClearChargingProfileResponse | None
) -> Iterator[ProfilesCleared]:
    criteria = request.charging_profile_criteria or v201.ClearChargingProfileType()
    if response is not None and _is_gone(response.status, request.charging_profile_id):
        yield ProfilesCleared(
            profile_id=request.charging_profile_id, evse_id=criteria.evse_id,
            purpose=criteria.charging_profile_purpose, stack_level=criteria.stack_level,
        )  # fmt: skip


def _is_gone(status: str, profile_id: int | None) -> bool:
    """A profile that is unknown by its id is gone, too: the station lost it, as with a factory reset."""
    return status == "Accepted" or (status == "Unknown" and profile_id is not None)


def _installed(evse_id: int, profile_id: int, profile: v16.ChargingProfile | v201.ChargingProfile) -> ProfileInstalled:
    return ProfileInstalled(
        profile_id=profile_id, evse_id=evse_id, purpose=profile.charging_profile_purpose,
        stack_level=profile.stack_level, profile=msgspec.to_builtins(profile),
    )  # fmt: skip


@settles
def none_held(
    request: v201.GetChargingProfiles, response: v201.GetChargingProfilesResponse | None
) -> Iterator[ProfilesCleared | Forgotten]:
    """The station has none of ours: those that were installed did not survive (T87)."""
    criterion = request.charging_profile
    narrowed = (criterion.charging_profile_id, criterion.charging_profile_purpose, criterion.stack_level)
    sources = criterion.charging_limit_source
    whole = request.evse_id is None and not any(part is not None for part in narrowed)
    if response is not None and response.status == "NoProfiles" and whole and (sources is None or "CSO" in sources):
        yield ProfilesCleared()
        if sources is None:
            yield Forgotten(PROFILE)
