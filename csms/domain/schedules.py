"""How a car that says what it needs is to charge: no faster than it must, no slower than it can."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Unit = Literal["A", "W"]

VOLTAGE = 230.0  # V of a phase, where a limit in A is compared with one in W.
MARGIN = 1.1  # What is lost on the way, and what the car's own estimate may lack.
_ENOUGH = 0.05  # Limits closer than that are the same (OCPP has one decimal).


@dataclass(frozen=True, slots=True)
class Needs:
    """What a car wants: energy in Wh, power in `unit`; in A, it is that of each of `phases`."""

    unit: Unit
    most: float
    least: float = 0.0
    phases: int = 3
    energy_wh: float | None = None
    departure_at: datetime | None = None


def levelled(needs: Needs, now: datetime) -> float:
    """The limit that brings the energy until departure, spread evenly (K15); the most where the car does not tell."""
    if needs.energy_wh is None or needs.departure_at is None:
        return needs.most
    hours = (needs.departure_at - now).total_seconds() / 3600
    if hours <= 0:
        return needs.most
    watts = needs.energy_wh * MARGIN / hours
    wanted = watts if needs.unit == "W" else watts / (VOLTAGE * needs.phases)
    return round(min(needs.most, max(needs.least, wanted)), 1)


@dataclass(frozen=True, slots=True)
class Steps:
    """Limits over time: each holds from its moment until the next, the last one on."""

    unit: Unit
    phases: int
    begins: tuple[datetime, ...]
    limits: tuple[float, ...]

    def watts(self, moment: datetime) -> float | None:
        """The limit at a moment; None before the first."""
        place = bisect_right(self.begins, moment) - 1
        if place < 0:
            return None
        return self.limits[place] * (VOLTAGE * self.phases if self.unit == "A" else 1.0)


def exceeds(plan: Steps, granted: Steps) -> bool:
    """Whether a car means to draw more, at any moment, than it was granted (K17)."""
    moments: Sequence[datetime] = sorted({*plan.begins, *(each for each in granted.begins if each >= plan.begins[0])})
    scale = VOLTAGE * granted.phases if granted.unit == "A" else 1.0
    for moment in moments:
        wanted, most = plan.watts(moment), granted.watts(moment)
        if wanted is not None and most is not None and wanted > most + _ENOUGH * scale:
            return True
    return False
