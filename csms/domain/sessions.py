"""Charging sessions, opened → metered → closed: the rules that money rests on.

Their law: the result does not depend on the order in which a session's messages arrive, nor on repeats (G2, G6).
A session's energy is the difference between the registers of its latest and its earliest reading; readings are ordered
by (begin or end of transaction, time), so that adding them commutes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Authorization = Literal["accepted", "blocked", "expired", "invalid", "unknown", "concurrent", "none"]
Phase = Literal["pending", "charging", "suspended", "ended"]

# Something about a session a person should look at; a flagged session is recorded, never dropped (G4).
METER_FELL = "meter_fell"  # The register at the end is below the one at the start.
SUPERSEDED = "superseded"  # Another session started on its connector before its own end was reported.
NEEDS_REVIEW = "needs_review"  # Its connector is free again, and its end was not reported: it may never be (R5).
CLOSED_BY_HAND = "closed_by_hand"  # An operator ended it; the station's own end still counts, should it come.
UNPLAUSIBLE_TIME = "implausible_time"  # The station's clock was lost: our receive time stands in.
NO_START = "no_start"  # Its start has not been reported (yet).
REFUSED = "refused"  # The token was not accepted; the station may have charged all the same.
RESCALED = "rescaled"  # Its station is known to mislabel its register: a quirk was applied (T57).

# An open session with one of these is over, as far as anybody can tell: its token may be used elsewhere.
STUCK = frozenset({SUPERSEDED, NEEDS_REVIEW})

BEGIN, WITHIN, END = 0, 1, 2


class Mark(msgspec.Struct, frozen=True, gc=False, order=True):
    """One point of the energy register: place in the transaction, station time, Wh."""

    place: int
    at: datetime
    register_wh: float


class Sample(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One sampled value as the station sent it; `value` stays text where it is no number."""

    value: float | str
    measurand: str = "Energy.Active.Import.Register"
    unit: str = "Wh"
    multiplier: int = 0  # value × 10^multiplier, in `unit` (2.x)
    phase: str | None = None
    context: str | None = None
    location: str | None = None
    signed: str | dict[str, str] | None = None  # Byte-exact signed data, for the driver's proof (T61).


class Reading(msgspec.Struct, frozen=True, gc=False):
    """The values of one moment. Registers in Wh, power in W, state of charge in percent, None where not sent."""

    at: datetime
    samples: tuple[Sample, ...]
    register_wh: float | None = None
    power_w: float | None = None
    soc: float | None = None
    place: int = WITHIN


class Session(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One charging session. `transaction_id` is the station's word for it, `id` ours; energies in Wh."""

    id: int
    transaction_id: str
    start_key: str  # What recognises a repeated start …
    incarnation: int = 0  # … and which of those it is, where a station without a clock begins alike twice (T25).
    version: str
    evse_id: int | None = None
    connector_id: int | None = None
    token: str | None = None
    token_type: str | None = None
    group: str | None = None
    authorization: Authorization = "none"
    started_at: datetime
    received_at: datetime
    ended_at: datetime | None = None
    stop_reason: str | None = None
    stop_token: str | None = None
    phase: Phase = "pending"
    first: Mark | None = None
    last: Mark | None = None
    last_digest: int | None = None  # Of the latest meter message: its repeat changes nothing.
    power_w: float | None = None
    soc: float | None = None
    seen: tuple[tuple[int, int], ...] = ()  # Ranges of seqNo that arrived (2.x).
    start_seq: int | None = None
    end_seq: int | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    flags: tuple[str, ...] = ()

    @property
    def energy_wh(self) -> float:
        """Energy delivered, never negative: a register that fell is flagged, not billed."""
        if self.first is None or self.last is None:
            return 0.0
        return max(0.0, round(self.last.register_wh - self.first.register_wh, 4))

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    @property
    def awaits_end(self) -> bool:
        """Whether the station's own end is still to come."""
        return self.is_open or CLOSED_BY_HAND in self.flags

    @property
    def complete(self) -> bool:
        """Whether nothing is missing between start and end (1.6: both; 2.x: every seqNo) — only then it is billed."""
        if self.awaits_end or NO_START in self.flags:
            return False
        if self.start_seq is None or self.end_seq is None:
            return self.version == "1.6"
        return any(low <= self.start_seq and self.end_seq <= high for low, high in self.seen)

    def has_seen(self, seq_no: int) -> bool:
        return any(low <= seq_no <= high for low, high in self.seen)


def metered(session: Session, readings: tuple[Reading, ...] | list[Reading], digest: int | None = None) -> Session:
    """Add readings, in any order and any number of times."""
    first, last = session.first, session.last
    power, soc = session.power_w, session.soc
    for reading in readings:
        latest = last is None or (reading.place, reading.at) >= (last.place, last.at)
        if latest and reading.power_w is not None:
            power = reading.power_w
        if latest and reading.soc is not None:
            soc = reading.soc
        if reading.register_wh is not None:
            mark = Mark(reading.place, reading.at, reading.register_wh)
            first = mark if first is None else min(first, mark)
            last = mark if last is None else max(last, mark)
    return msgspec.structs.replace(
        session,
        first=first,
        last=last,
        power_w=power if session.is_open else None,
        soc=soc,
        last_digest=session.last_digest if digest is None else digest,
        flags=_meter_flags(session.flags, first, last),
    )


def closed(session: Session, ended_at: datetime, reason: str | None, token: str | None = None) -> Session:
    """End a session; its own end, once reported, stands (T11, T18)."""
    if not session.awaits_end:
        return session
    return msgspec.structs.replace(
        session,
        ended_at=ended_at,
        stop_reason=reason,
        stop_token=token,
        phase="ended",
        power_w=None,
        flags=tuple(flag for flag in session.flags if flag not in STUCK and flag != CLOSED_BY_HAND),
    )


def closed_by_hand(session: Session, at: datetime) -> Session:
    """End a session whose end the station has not reported, and mark that."""
    return flagged(closed(session, at, None), CLOSED_BY_HAND)


def flagged(session: Session, flag: str) -> Session:
    return session if flag in session.flags else msgspec.structs.replace(session, flags=(*session.flags, flag))


def with_seq(seen: tuple[tuple[int, int], ...], seq_no: int) -> tuple[tuple[int, int], ...]:
    """Add one number to ranges of numbers, merging neighbours; already there: unchanged."""
    if seen and seen[-1][1] + 1 == seq_no:  # In order, as nearly always.
        return (*seen[:-1], (seen[-1][0], seq_no))
    merged: list[tuple[int, int]] = []
    for low, high in sorted([*seen, (seq_no, seq_no)]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def _meter_flags(flags: tuple[str, ...], first: Mark | None, last: Mark | None) -> tuple[str, ...]:
    fell = first is not None and last is not None and last.register_wh < first.register_wh
    if fell == (METER_FELL in flags):
        return flags
    return (*flags, METER_FELL) if fell else tuple(flag for flag in flags if flag != METER_FELL)
