"""Neutral verbs of block K: charging profiles are set, read and cleared by rules, and what follows from them is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, ClassVar, Literal

import msgspec

from csms.blocks.verbs import GIVEN, STRICT, Facts, Installed, Unsayable, Verb, instant
from csms.ocpp import v16, v201
from csms.ocpp.catalogue import Version

Questions = Iterator[msgspec.Struct]

PERIODS, UNITS = "schedule_periods", "rate_units"

Purpose = Literal["station_max", "tx_default", "tx"]
PURPOSE_16 = {"station_max": "ChargePointMaxProfile", "tx_default": "TxDefaultProfile", "tx": "TxProfile"}
PURPOSE_2X = PURPOSE_16 | {"station_max": "ChargingStationMaxProfile"}
KIND = {"absolute": "Absolute", "recurring": "Recurring", "relative": "Relative"}
# How stations write which units they take (T80).
_AMPERES, _WATTS = ("current", "amp", "a"), ("power", "watt", "w")


@dataclass(frozen=True)
class Period:
    """From `start` s after the schedule's begin: at most `limit` (in the schedule's unit)."""

    __pydantic_config__: ClassVar = STRICT
    start: int
    limit: float
    phases: int | None = None


@dataclass(frozen=True)
class Profile:
    """A limit on charging. `station_max`: for the whole station; `tx_default`: for any session; `tx`: for this one.

    Absolute (from `start_at`; now, where left out), recurring (daily or weekly from `start_at`), or relative to a session's
    begin. A profile with the `profile_id` of another takes its place.
    """

    __pydantic_config__: ClassVar = STRICT
    purpose: Purpose
    periods: list[Period]
    unit: Literal["A", "W"] = "A"
    kind: Literal["absolute", "recurring", "relative"] | None = None
    stack_level: int = 0
    evse_id: int | None = None
    session_id: int | None = None
    profile_id: int | None = None
    start_at: datetime | None = None
    duration: int | None = None
    recurrency: Literal["daily", "weekly"] | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    min_rate: float | None = None


def set_16(ask: Profile, facts: Facts) -> Questions:
    place = _place(ask, facts)
    _check_unshared(ask, facts, PURPOSE_16, place, everywhere=False)
    profile = profile_16(ask, facts)
    if ask.purpose == "tx":
        profile = msgspec.structs.replace(profile, transaction_id=int(_session(facts).transaction_id))
    yield v16.SetChargingProfile(connector_id=place, cs_charging_profiles=profile)


def set_2x(ask: Profile, facts: Facts) -> Questions:
    place = _place(ask, facts)
    _check_unshared(ask, facts, PURPOSE_2X, place, everywhere=ask.purpose == "tx_default")
    profile = profile_2x(ask, facts)
    if ask.purpose == "tx":
        profile = msgspec.structs.replace(profile, transaction_id=_session(facts).transaction_id)
    yield v201.SetChargingProfile(evse_id=place, charging_profile=profile)


def start_profile(version: Version, ask: Profile, facts: Facts) -> v16.ChargingProfile | v201.ChargingProfile:
    """The profile that goes along with a remote start: a TxProfile, of a transaction that has no id yet (T79)."""
    if ask.purpose != "tx" or ask.session_id is not None:
        raise Unsayable(
            "A start takes a profile of purpose `tx` along, without session_id: its session is yet to begin."
        )
    return profile_16(ask, facts) if version is Version.V16 else profile_2x(ask, facts)


def profile_16(ask: Profile, facts: Facts) -> v16.ChargingProfile:
    times = _checked(ask, facts)
    periods = [
        v16.ChargingSchedulePeriod(start_period=each.start, limit=each.limit, number_phases=each.phases)
        for each in ask.periods
    ]
    schedule = v16.ChargingSchedule(
        charging_rate_unit=ask.unit, charging_schedule_period=periods, duration=ask.duration,
        start_schedule=times["start_schedule"], min_charging_rate=ask.min_rate,
    )  # fmt: skip
    return v16.ChargingProfile(
        charging_profile_id=_number(ask), charging_profile_purpose=PURPOSE_16[ask.purpose],
        charging_schedule=schedule, **_frame(ask, times),
    )  # fmt: skip


def profile_2x(ask: Profile, facts: Facts) -> v201.ChargingProfile:
    times = _checked(ask, facts)
    periods = [
        v201.ChargingSchedulePeriod(start_period=each.start, limit=each.limit, number_phases=each.phases)
        for each in ask.periods
    ]
    schedule = v201.ChargingSchedule(
        id=1, charging_rate_unit=ask.unit, charging_schedule_period=periods, duration=ask.duration,
        start_schedule=times["start_schedule"], min_charging_rate=ask.min_rate,
    )  # fmt: skip
    return v201.ChargingProfile(
        id=_number(ask), charging_profile_purpose=PURPOSE_2X[ask.purpose], charging_schedule=[schedule],
        **_frame(ask, times),
    )  # fmt: skip


def _frame(ask: Profile, times: dict[str, datetime | None]) -> dict[str, Any]:
    return {
        "stack_level": ask.stack_level, "charging_profile_kind": KIND[_kind(ask)],
        "recurrency_kind": ask.recurrency and ask.recurrency.capitalize(),
        "valid_from": times["valid_from"], "valid_to": times["valid_to"],
    }  # fmt: skip


def _number(ask: Profile) -> int:
    if ask.profile_id is not None and ask.profile_id < 1:
        raise Unsayable("A profile_id is at least 1; leave it out to have one given.")
    return GIVEN if ask.profile_id is None else ask.profile_id


def _kind(ask: Profile) -> str:
    """A station's maximum holds from a moment on, a session's profile from its begin, unless it says otherwise."""
    return ask.kind or ("recurring" if ask.recurrency else "relative" if ask.purpose == "tx" else "absolute")


def _checked(ask: Profile, facts: Facts) -> dict[str, datetime | None]:
    """The rules that a profile has to keep by itself; its times."""
    kind = _kind(ask)
    start = instant(ask.start_at, "start_at")
    valid_from, valid_to = instant(ask.valid_from, "valid_from"), instant(ask.valid_to, "valid_to")
    if ask.purpose == "station_max" and kind == "relative":  # T88; 1.6 3.13, K01.FR.38
        raise Unsayable("A station's maximum is relative to nothing: make it absolute (or recurring).")
    if kind == "relative" and start is not None:
        raise Unsayable("A relative profile begins with its session: leave start_at out, or make it absolute.")
    if (kind == "recurring") != (ask.recurrency is not None):
        raise Unsayable("A recurring profile, and only one, says how: recurrency `daily` or `weekly`.")
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        raise Unsayable("valid_to has to be after valid_from.")
    _check_periods(ask, facts)
    if kind != "relative" and start is None:  # K01.FR.40, T88
        start = facts.now.replace(microsecond=0)
    return {"start_schedule": start, "valid_from": valid_from, "valid_to": valid_to}


def _check_periods(ask: Profile, facts: Facts) -> None:
    starts = [each.start for each in ask.periods]
    if not starts or starts[0] != 0 or any(later <= earlier for earlier, later in pairwise(starts)):
        raise Unsayable("Give periods in the order of their start, the first with start 0.")  # K01.FR.31
    if any(each.limit < 0 for each in ask.periods):
        raise Unsayable("A limit is not negative.")
    most = facts.most(PERIODS)
    if most is not None and len(starts) > most:
        raise Unsayable(
            f"The station takes at most {most} periods a schedule; these are {len(starts)}. Make them coarser."
        )
    units = units_of(facts.limits.get(UNITS))
    if units and ask.unit not in units:
        raise Unsayable(
            f"The station takes limits in {' or '.join(sorted(units))} only, not in {ask.unit}: convert them."
        )


def units_of(declared: str | None) -> frozenset[str]:
    """`Current,Power`, `A`, `Watt`, … : the units meant; none when nothing is understood."""
    words = {word.strip().casefold() for word in (declared or "").replace(";", ",").replace("/", ",").split(",")}
    return frozenset(
        unit
        for unit, forms in (("A", _AMPERES), ("W", _WATTS))
        if any(word.startswith(forms[:2]) or word == forms[2] for word in words)
    )


def _session(facts: Facts) -> Any:
    if facts.session is None or not facts.session.is_open:
        raise Unsayable("A profile of purpose `tx` is for a session that goes on: give its session_id.")  # T79
    return facts.session


def _place(ask: Profile, facts: Facts) -> int:
    """The EVSE (1.6: connector); 0 is the whole station."""
    if ask.purpose == "tx":
        session = _session(facts)
        if ask.evse_id not in (None, session.evse_id):
            raise Unsayable(f"The session is at EVSE {session.evse_id}: leave evse_id out.")
        return session.evse_id or 1
    if ask.session_id is not None:
        raise Unsayable("Only a profile of purpose `tx` is for a session.")  # T79, K01.FR.03
    if ask.purpose == "station_max" and ask.evse_id not in (None, 0):
        raise Unsayable("A station's maximum is for the whole station: leave evse_id out.")
    return ask.evse_id or 0


def _check_unshared(ask: Profile, facts: Facts, purposes: dict[str, str], place: int, everywhere: bool) -> None:
    """No two profiles of one purpose, level and EVSE that are valid at the same time (K01.FR.06, T78).

    `everywhere`: a default for all EVSEs is like one for each of them (2.x K01.FR.52, FR.53).
    """
    for other in facts.profiles:
        same_place = other.evse_id == place or (everywhere and 0 in (other.evse_id, place))
        alike = (other.purpose, other.stack_level) == (purposes[ask.purpose], ask.stack_level)
        if (
            alike
            and same_place
            and other.profile_id != ask.profile_id
            and _overlap(ask, other)
            and _concerns(other, facts)
        ):
            raise Unsayable(
                f"Profile {other.profile_id} has the same purpose, level and EVSE and is valid at the same time. Give its "
                "profile_id to replace it, choose another stack_level, or clear it.", 409,
            )  # fmt: skip


def _concerns(other: Installed, facts: Facts) -> bool:
    """A profile of a session is over with it."""
    transaction = other.profile.get("transactionId")
    return transaction is None or (facts.session is not None and str(transaction) == facts.session.transaction_id)


def _overlap(ask: Profile, other: Installed) -> bool:
    begins, ends = _moment(other.profile.get("validFrom")), _moment(other.profile.get("validTo"))
    valid_from, valid_to = instant(ask.valid_from, "valid_from"), instant(ask.valid_to, "valid_to")
    before = ends is not None and valid_from is not None and ends <= valid_from
    after = begins is not None and valid_to is not None and valid_to <= begins
    return not before and not after


def _moment(text: str | None) -> datetime | None:
    moment = None if text is None else msgspec.convert(text, datetime)
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Selected:
    """Which profiles are meant: one by its id, or all that match what is given."""

    __pydantic_config__: ClassVar = STRICT
    profile_id: int | None = None
    evse_id: int | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None


def clear_16(ask: Selected, facts: Facts) -> Questions:
    _check_selected(ask)
    yield v16.ClearChargingProfile(
        id=ask.profile_id, connector_id=ask.evse_id, stack_level=ask.stack_level,
        charging_profile_purpose=ask.purpose and PURPOSE_16[ask.purpose],
    )  # fmt: skip


def clear_2x(ask: Selected, facts: Facts) -> Questions:
    _check_selected(ask)
    criteria = v201.ClearChargingProfileType(
        evse_id=ask.evse_id, stack_level=ask.stack_level,
        charging_profile_purpose=ask.purpose and PURPOSE_2X[ask.purpose],
    )  # fmt: skip
    by_id = ask.profile_id is not None  # K10.FR.02: then the rest is not looked at.
    yield v201.ClearChargingProfile(
        charging_profile_id=ask.profile_id, charging_profile_criteria=None if by_id else criteria
    )


def _check_selected(ask: Selected) -> None:
    if ask == Selected():
        raise Unsayable("Say which: profile_id, or some of evse_id, purpose and stack_level.")


def get_16(ask: Selected, facts: Facts) -> Questions:
    raise Unsayable("OCPP 1.6 cannot tell profiles: GET /charging-profiles has what was installed from here.", 409)


def get_2x(ask: Selected, facts: Facts) -> Questions:
    criterion = v201.ChargingProfileCriterion(
        charging_profile_id=None if ask.profile_id is None else [ask.profile_id], stack_level=ask.stack_level,
        charging_profile_purpose=ask.purpose and PURPOSE_2X[ask.purpose],
    )  # fmt: skip
    yield v201.GetChargingProfiles(request_id=GIVEN, charging_profile=criterion, evse_id=ask.evse_id)


@dataclass(frozen=True)
class Composite:
    """What an EVSE (0: the station) is limited to for the next `duration` s."""

    __pydantic_config__: ClassVar = STRICT
    evse_id: int = 0
    duration: int = 86_400
    unit: Literal["A", "W"] | None = None


def composite_16(ask: Composite, facts: Facts) -> Questions:
    yield v16.GetCompositeSchedule(connector_id=ask.evse_id, duration=ask.duration, charging_rate_unit=ask.unit)


def composite_2x(ask: Composite, facts: Facts) -> Questions:
    yield v201.GetCompositeSchedule(evse_id=ask.evse_id, duration=ask.duration, charging_rate_unit=ask.unit)


def limits_of(ask: Profile) -> tuple[str, ...]:
    return (UNITS, PERIODS) if len(ask.periods) > 1 else (UNITS,)


SET = Verb("charging-profiles", Profile, set_16, set_2x, limits=limits_of)
CLEAR = Verb("charging-profiles/clear", Selected, clear_16, clear_2x)
VERBS = (
    SET,
    Verb("charging-profiles/read", Selected, get_16, get_2x),
    CLEAR,
    Verb("composite-schedule", Composite, composite_16, composite_2x),
)
