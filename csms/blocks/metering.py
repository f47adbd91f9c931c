"""Functional block J: sampled values of every version become readings in Wh, W and percent; the samples stay as sent."""

from __future__ import annotations

from datetime import datetime
from zlib import crc32

import msgspec

from csms.blocks.dispatch import Context, answers
from csms.domain.events import SessionClosed, SessionMetered
from csms.domain.sessions import BEGIN, END, WITHIN, Reading, Sample, Session, metered
from csms.domain.stations import trusted_time
from csms.domain.unit import Metered, Unmatched
from csms.ocpp import v16, v201

REGISTER = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
STATE_OF_CHARGE = "SoC"
_READ = (REGISTER, POWER, STATE_OF_CHARGE)  # What becomes a reading, in the order of its fields.
_PLACE = {"Transaction.Begin": BEGIN, "Transaction.End": END}
_KILO = {"kWh": 1000.0, "kW": 1000.0}
_IMPOSSIBLE = 1e15  # Wh, W: no reading. Near it sums overflow, and what is not finite cannot be read back (I2, I4).
_CORD = (None, "Outlet", "Cable")  # Where what the car got is measured; Inlet and Body count losses too.
_encode = msgspec.json.Encoder().encode


@answers
async def meter_values_16(request: v16.MeterValues, ctx: Context) -> v16.MeterValuesResponse:
    readings = in_wh(ctx, readings_16(request.meter_value, ctx.now))
    session = None
    if request.transaction_id is not None:
        session = await find_session(ctx, str(request.transaction_id))
        if session is None:  # T16: unknown, 0, long gone: kept, attached to nothing.
            reason = "meter values for an unknown transaction"
            ctx.unit.unmatched.append(Unmatched("MeterValues", ctx.raw, reason))
    await add_readings(ctx, session, place_16(request.connector_id), readings)
    return v16.MeterValuesResponse()


@answers
async def meter_values_2x(request: v201.MeterValues, ctx: Context) -> v201.MeterValuesResponse:
    """Readings outside any transaction; those of a transaction come in TransactionEvent."""
    readings = in_wh(ctx, readings_2x(request.meter_value, ctx.now))
    await add_readings(ctx, None, (None if request.evse_id < 0 else request.evse_id, None), readings)
    return v201.MeterValuesResponse()


def place_16(number: int) -> tuple[int | None, int | None]:
    """EVSE and connector of a 1.6 connector number; a number below zero is no place (T34)."""
    return (None, None) if number < 0 else (number, 1 if number else 0)


async def find_session(ctx: Context, transaction_id: str) -> Session | None:
    """The station's own session of that name, open or closed; another station's is never found (S14)."""
    session = ctx.unit.session(transaction_id)
    if session is not None:
        return session
    return await ctx.records.session_by_transaction(ctx.station.id, transaction_id)


async def add_readings(
    ctx: Context, session: Session | None, place: tuple[int | None, int | None], readings: list[Reading]
) -> None:
    """Store readings and move their session on; a message that was stored before changes nothing."""
    if session is None:
        ctx.unit.metered.append(Metered(None, *place, readings))
        return
    digest = crc32(ctx.raw)
    if digest == session.last_digest:
        return
    fresh = await without_stored(ctx, session, readings)
    if not fresh:
        return
    moved = metered(session, fresh, digest)
    ctx.unit.changed.append(moved)
    ctx.unit.metered.append(Metered(moved.id, *place, fresh))
    tell_progress(ctx, session, moved, fresh[-1].at)


async def without_stored(ctx: Context, session: Session, readings: list[Reading]) -> list[Reading]:
    """Leave out what is stored already; only a reading older than the latest can be a late repeat."""
    if session.last_digest is None:
        return readings  # The first meter message of its session.
    latest = session.last.at if session.last else None
    fresh = []
    for reading in readings:
        if latest is None or reading.at <= latest:
            at_us = _microseconds(reading.at)
            if await ctx.records.has_reading(session.id, at_us, _encode(reading.samples)):
                continue
        fresh.append(reading)
    return fresh


def tell_progress(ctx: Context, before: Session | None, session: Session, at: datetime | None) -> None:
    """Tell what a message did to its session: it was metered at `at`, or it ended.

    Of a session that had ended before, its end is told again if that has changed: who bills by it has to know (T18).
    """
    if not session.is_open:
        now, then = closed_event(session, ctx.now), closed_event(before, ctx.now) if before is not None else None
        if before is None or before.is_open or now != then:
            ctx.unit.events.append(now)
    elif at is not None:
        ctx.unit.events.append(SessionMetered(
            at=at, session=session.id, energy_wh=session.energy_wh, power_w=session.power_w, soc=session.soc
        ))  # fmt: skip


def closed_event(session: Session, now: datetime) -> SessionClosed:
    ended_at = session.ended_at or now
    return SessionClosed(
        at=ended_at, session=session.id, transaction_id=session.transaction_id, ended_at=ended_at,
        energy_wh=session.energy_wh, reason=session.stop_reason, flags=session.flags, incomplete=not session.complete,
    )  # fmt: skip


def readings_16(values: list, received_at: datetime) -> list[Reading]:
    """Begin and end of a 1.6 transaction are told by its Start and Stop, whatever context a sample claims."""
    return [
        _reading(trusted_time(value.timestamp, received_at), tuple(map(_sample_16, value.sampled_value)), WITHIN)
        for value in values
    ]


def readings_2x(values: list[v201.MeterValue] | None, received_at: datetime) -> list[Reading]:
    return [
        _reading(
            trusted_time(value.timestamp, received_at),
            tuple(map(_sample_2x, value.sampled_value)),
            _place_2x(value.sampled_value),
        )
        for value in values or ()
    ]


def _place_2x(samples: list[v201.SampledValue]) -> int:
    """Where in its transaction a moment lies; samples that could not be read are missing (T55)."""
    return next((_PLACE[sample.context] for sample in samples if sample.context in _PLACE), WITHIN)


def in_wh(ctx: Context, readings: list[Reading]) -> list[Reading]:
    """Registers of a station that is known to mislabel them; the samples stay as sent (T57)."""
    factor = register_factor(ctx)
    if factor == 1.0:
        return readings
    return [
        reading
        if reading.register_wh is None
        else msgspec.structs.replace(reading, register_wh=round(reading.register_wh * factor, 4))
        for reading in readings
    ]


def register_factor(ctx: Context) -> float:
    quirk = ctx.station.quirk
    return 1.0 if quirk is None else quirk.register_factor


# Samples are made by place, not by name: there are several in each message, and this takes half as long.


def _sample_16(sent: v16.SampledValue) -> Sample:
    measurand, value, signed = sent.measurand or REGISTER, sent.value, None
    if sent.format == "SignedData":
        signed = value
    else:
        value = _number(value)
    unit = sent.unit or _default_unit(measurand)
    return Sample(value, measurand, unit, 0, sent.phase, sent.context, sent.location, signed)


def _sample_2x(sent: v201.SampledValue) -> Sample:
    measurand, signed = sent.measurand or REGISTER, sent.signed_meter_value
    unit, multiplier = None, None
    if sent.unit_of_measure is not None:
        unit, multiplier = sent.unit_of_measure.unit, sent.unit_of_measure.multiplier
    return Sample(
        sent.value, measurand, unit or _default_unit(measurand), multiplier or 0,
        sent.phase, sent.context, sent.location, _signed(signed) if signed else None,
    )  # fmt: skip


def _signed(value: v201.SignedMeterValue) -> dict[str, str]:
    return {
        "data": value.signed_meter_data,
        "signing_method": value.signing_method,
        "encoding_method": value.encoding_method,
        "public_key": value.public_key,
    }


def _default_unit(measurand: str) -> str:
    """Wh, unless another quantity is meant: then what its name says, or nothing (T56)."""
    if measurand == STATE_OF_CHARGE:
        return "Percent"
    if measurand.startswith("Power.") and measurand != "Power.Factor":
        return "W"
    return "Wh" if measurand.startswith("Energy.") else ""


def _number(text: str, sent: str | None = None) -> float | str:
    """A 1.6 value is text; what is no finite number stays as it was sent (T55)."""
    try:
        number = float(text)
    except ValueError:
        if text.count(",") != 1 or "." in text:
            return sent or text
        return _number(text.replace(",", "."), text)
    return number if abs(number) < _IMPOSSIBLE else sent or text  # NaN and the infinities fail the comparison.


def _reading(at: datetime, samples: tuple[Sample, ...], place: int) -> Reading:
    told: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.measurand in _READ and type(sample.value) is not str:
            told.setdefault(sample.measurand, []).append(sample)
    return Reading(at, samples, *(_quantity(told[name]) if name in told else None for name in _READ), place)


def _quantity(told: list[Sample]) -> float | None:
    """The total of a measurand, as measured where the car is plugged in, or else wherever it was (T58)."""
    if len(told) > 1:
        told = [sample for sample in told if sample.location in _CORD] or told
    return _total(told)


def _total(samples: list[Sample]) -> float | None:
    """The value without a phase, else the sum of the phases."""
    phases: list[float] = []
    for sample in samples:
        value = _scaled(sample.value, sample)
        if value is None:
            continue
        if sample.phase is None:
            return value
        if sample.phase in ("L1", "L2", "L3", "L1-N", "L2-N", "L3-N"):
            phases.append(value)
    return sum(phases) if phases else None


def _scaled(value: float, sample: Sample) -> float | None:
    """The value in Wh, W or percent (T60); None where it is beyond anything measured."""
    if sample.multiplier or sample.unit in _KILO:
        if not -30 <= sample.multiplier <= 30:
            return None
        # Rounded: 1.1 kWh are 1100 Wh, not 1100.0000000000002.
        value = round(value * _KILO.get(sample.unit, 1.0) * 10.0**sample.multiplier, 4)
    return value if abs(value) < _IMPOSSIBLE else None


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
