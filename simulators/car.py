"""A car at the plug: how much power it takes, from its battery's state of charge."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.dice import Dice

_STEP = 30.0  # Seconds over which the power counts as constant while integrating.
_TRICKLE = 0.05  # Share of its power a battery still takes on DC when it is all but full.
_FULL = 0.9995
_BATTERIES_WH = (38_000, 52_000, 62_000, 77_000, 94_000)


@dataclass(slots=True)
class Car:
    """A battery that only ever fills. `soc` is 0..1, energy in Wh, power in W."""

    capacity_wh: float
    soc: float
    max_power_w: float
    taper_from: float = 0.7
    taken_wh: float = 0.0

    def power(self, offered_w: float, *, dc: bool) -> float:
        """What it draws now: on AC all that both sides can do, on DC less and less above the taper."""
        if self.full:
            return 0.0
        power = min(offered_w, self.max_power_w)
        if dc and self.soc > self.taper_from:
            left = (1.0 - self.soc) / (1.0 - self.taper_from)
            power = min(power, self.max_power_w * (_TRICKLE + (1.0 - _TRICKLE) * left))
        return power

    def charge(self, seconds: float, offered_w: float, *, dc: bool) -> float:
        """Let time pass at the plug; the Wh taken meanwhile."""
        taken = 0.0
        while seconds > 0 and not self.full:
            step = min(seconds, _STEP)
            room = (1.0 - self.soc) * self.capacity_wh
            energy = min(self.power(offered_w, dc=dc) * step / 3600.0, room)
            self.soc = min(1.0, self.soc + energy / self.capacity_wh)
            taken += energy
            seconds -= step
        self.taken_wh += taken
        return taken

    @property
    def full(self) -> bool:
        return self.soc >= _FULL


def arriving_car(rng: Dice, *, dc: bool) -> Car:
    """One of the cars on the road: half empty at a fast charger, less so at a slow one."""
    soc = rng.triangular(0.05, 0.75, 0.25) if dc else rng.triangular(0.15, 0.9, 0.5)
    power = rng.choice((80_000, 120_000, 150_000, 250_000)) if dc else rng.choice((7_400, 11_000, 22_000))
    return Car(rng.choice(_BATTERIES_WH), soc, power, taper_from=rng.uniform(0.6, 0.8))
