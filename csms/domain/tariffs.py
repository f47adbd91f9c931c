"""What a session costs: a simple tariff, from the moment it holds."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from csms.domain.sessions import Session

MICROS = 1_000_000  # Prices are whole millionths of a currency unit: exact, and any engine adds them up.
_CENT = Decimal("0.01")


class Tariff(msgspec.Struct, frozen=True):
    """Prices of an operator, in millionths of a unit of `currency` (ISO 4217). Holds for sessions begun from then on.

    A tariff is never changed: a new one takes its place, so that what a session costs stays what it was at its start.
    """

    currency: str
    per_kwh: int = 0
    per_minute: int = 0
    per_session: int = 0
    valid_from: datetime | None = None


def tariff_at(tariffs: list[Tariff], moment: datetime) -> Tariff | None:
    """The one of an operator's tariffs, in the order of their beginning, that a session begun at `moment` is under."""
    holding = [tariff for tariff in tariffs if tariff.valid_from is None or tariff.valid_from <= moment]
    return holding[-1] if holding else None


def cost(tariff: Tariff | None, session: Session, now: datetime) -> Decimal:
    """What the session costs up to `now`, or up to its end: currency units with two decimals, never negative.

    Without a tariff it is free. What depends on the energy counts the energy billed: a register that fell counts none.
    """
    if tariff is None:
        return Decimal("0.00")
    seconds = max(0, ((session.ended_at or now) - session.started_at).total_seconds())
    micros = (
        tariff.per_session
        + tariff.per_kwh * Decimal(str(session.energy_wh)) / 1000
        + tariff.per_minute * Decimal(str(seconds)) / 60
    )
    return (micros / MICROS).quantize(_CENT, ROUND_HALF_UP)
