"""Functional block K, cars that talk (ISO 15118): what they need becomes a profile, what they plan is checked."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from csms.blocks.asking import Question, settles
from csms.blocks.dispatch import Context, answers
from csms.blocks.reports import encoded, keep
from csms.domain.events import NeedsReported, ScheduleReported
from csms.domain.schedules import Needs, Steps, Unit, exceeds, levelled
from csms.domain.sessions import Session
from csms.domain.unit import Reported
from csms.ocpp import v201

NEEDS, SCHEDULE, GRANTED = "charging_needs", "charging_schedule", "charging_grant"

NO_SESSION = v201.StatusInfo(reason_code="NoSession")  # Nothing that a profile could be for.
TOO_MUCH = v201.StatusInfo(reason_code="ExceedsLimits")
# Above every id that is counted up (storage.changes), so that a session's profile replaces its own and no other.
_OWN_IDS = 0x40000000

_needs = msgspec.json.Decoder(v201.NotifyEVChargingNeeds).decode
_profile = msgspec.json.Decoder(v201.ChargingProfile).decode


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
    session = _session_at(ctx, request.evse_id)
    if session is None or not _grant(ctx, request, session):
        return v201.NotifyEVChargingNeedsResponse(status="Rejected", status_info=NO_SESSION)
    return v201.NotifyEVChargingNeedsResponse(status="Accepted")


@answers
async def schedule(request: v201.NotifyEVChargingSchedule, ctx: Context) -> v201.NotifyEVChargingScheduleResponse:
    """What a car plans beyond what it was granted is refused, and it is told anew what it may (K17)."""
    keep(ctx, SCHEDULE, str(request.evse_id), request)
    ctx.unit.events.append(ScheduleReported(at=ctx.now, evse_id=request.evse_id))
    place = str(request.evse_id)
    granted = (await ctx.records.reported(ctx.station.id, GRANTED, (place,))).get(place)
    session = _session_at(ctx, request.evse_id)
    if granted is None or granted == b"null" or session is None:
        return v201.NotifyEVChargingScheduleResponse(status="Accepted")
    profile = _profile(granted)
    begin = profile.charging_schedule[0].start_schedule or session.started_at
    most = _steps(profile.charging_schedule[0], begin)
    if profile.transaction_id != session.transaction_id or not exceeds(
        _steps(request.charging_schedule, request.time_base), most
    ):
        return v201.NotifyEVChargingScheduleResponse(status="Accepted")
    said = (await ctx.records.reported(ctx.station.id, NEEDS, (place,))).get(place)
    if said is None or not _grant(ctx, _needs(said), session):
        _ask(ctx, request.evse_id, profile)
    return v201.NotifyEVChargingScheduleResponse(status="Rejected", status_info=TOO_MUCH)


@settles
def granted(request: v201.SetChargingProfile, response: v201.SetChargingProfileResponse | None) -> Iterator[Reported]:
    """What a session was granted last, by this system or by an operator: a car's plan is measured by it."""
    profile = request.charging_profile
    if response is not None and response.status == "Accepted" and profile.charging_profile_purpose == "TxProfile":
        yield Reported(GRANTED, str(request.evse_id), encoded(profile))


def _grant(ctx: Context, request: v201.NotifyEVChargingNeeds, session: Session) -> bool:
    """Ask for a profile that meets the needs; whether they can be met at all."""
    wanted = _wanted(request.charging_needs)
    if wanted is None:
        return False
    period = v201.ChargingSchedulePeriod(
        start_period=0, limit=levelled(wanted, ctx.now), number_phases=wanted.phases if wanted.unit == "A" else None
    )  # fmt: skip
    number = _OWN_IDS | crc32(session.transaction_id.encode()) & (_OWN_IDS - 1)
    plan = v201.ChargingSchedule(
        id=number, charging_rate_unit=wanted.unit, charging_schedule_period=[period],
        start_schedule=ctx.now.replace(microsecond=0),
    )  # fmt: skip
    profile = v201.ChargingProfile(
        id=number, stack_level=0, charging_profile_purpose="TxProfile", charging_profile_kind="Absolute",
        charging_schedule=[plan], transaction_id=session.transaction_id,
    )  # fmt: skip
    _ask(ctx, request.evse_id, profile)
    return True


def _ask(ctx: Context, evse_id: int, profile: v201.ChargingProfile) -> None:
    request = v201.SetChargingProfile(evse_id=evse_id, charging_profile=profile)

    async def make() -> Question:
        return Question("SetChargingProfile", msgspec.json.decode(encoded(request)))

    ctx.afterwards = make


def _wanted(needs: v201.ChargingNeeds) -> Needs | None:
    """In A for AC, in W for DC, as chargers of each kind are steered; None where a car says nothing of its power."""
    ac, dc = needs.ac_charging_parameters, needs.dc_charging_parameters
    departure, energy = needs.departure_time, _energy(needs)
    if ac is not None:
        phases = {"AC_single_phase": 1, "AC_two_phase": 2}.get(needs.requested_energy_transfer, 3)
        return Needs("A", ac.ev_max_current, ac.ev_min_current, phases, energy, departure)
    if dc is not None:
        most = dc.ev_max_power or dc.ev_max_current * dc.ev_max_voltage
        return Needs("W", most, 0.0, 3, energy, departure)
    return None


def _energy(needs: v201.ChargingNeeds) -> float | None:
    parameters = needs.dc_charging_parameters or needs.ac_charging_parameters
    return None if parameters is None else parameters.energy_amount


def _session_at(ctx: Context, evse_id: int) -> Session | None:
    """The authorised session there that is open; of a station that has one and never said where, that one."""
    found = [session for session in ctx.station.open_sessions() if session.authorization == "accepted"]
    there = [session for session in found if session.evse_id == evse_id]
    if not there and len(found) == 1 and found[0].evse_id is None:
        there = found
    return max(there, key=lambda session: session.started_at) if there else None


def _steps(schedule: v201.ChargingSchedule, begin: datetime) -> Steps:
    periods = sorted(schedule.charging_schedule_period, key=lambda period: period.start_period)
    phases = periods[0].number_phases or 3
    unit: Unit = schedule.charging_rate_unit
    begins = tuple(begin + timedelta(seconds=period.start_period) for period in periods)
    return Steps(unit, phases, begins, tuple(period.limit for period in periods))
