"""The stations of a network's file as a fleet: each with its power, its drivers and its ties to others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from sys import intern
from typing import Any
from zlib import crc32

import msgspec

from csms.ocpp.version import Version
from simulators.demand import Demand
from simulators.dice import Dice
from simulators.network import Country, Location, Pile, Token, Use, decode_line
from simulators.scenarios import ScenarioError, StationPlan

_A_PILE = b'{"kind":"station"'  # How its line begins, as `csms-sim network` writes it.
_MODELS = 40  # Makes of stations: one firmware fails at once, wherever it stands.


class Part(msgspec.Struct, frozen=True):
    """What one process drives of a network: every `of`-th station from `number` on (from 0)."""

    number: int = 0
    of: int = 1

    def share(self, stations: int) -> int:
        """How many of so many stations are its own."""
        return len(range(self.number, stations, self.of))


def read(file: Path, country: Country, *, part: Part | None = None, most: int | None = None, seed: int = 0) -> tuple[
    list[StationPlan], list[str]
]:  # fmt: skip
    """(plans, tokens) of the network in `file`. ScenarioError for a file that is none."""
    part = part or Part()
    plans: list[StationPlan] = []
    tokens: dict[str, None] = {}
    where: Location | None = None
    seen = 0
    for line in _lines(file, part):
        if isinstance(line, Location):
            where = line
        elif isinstance(line, Token):
            tokens[line.value] = None
        elif line is None or isinstance(line, Pile):
            if most is not None and seen >= most:
                break
            if line is not None:
                plans.append(plan_of(line, where, country.use, seed))
            seen += 1
    return plans, list(tokens)


def demand_of(use: Use, level: float = 1.0) -> Demand:
    return Demand(use.hours, level)


def plan_of(pile: Pile, where: Location | None, use: Use, seed: int = 0) -> StationPlan:
    """How one pile is used; the same seed gives the same life."""
    dice = Dice(f"{seed}/{pile.operator}/{pile.id}")
    highway = where is not None and where.service_area is not None
    place = (where.city or where.service_area) if where is not None else None
    return StationPlan(
        identity=pile.id,
        operator=intern(pile.operator),
        version=Version(pile.version),
        password=pile.password,
        seed=f"{seed}/{pile.operator}/{pile.id}/life",
        transaction_data=dice.random() < 0.3,
        groups=_groups(pile.operator, pile.location, place),
        **_kind(use, pile.current == "DC", pile.max_power_w, pile.connectors, highway),
    )


@cache  # A network has some dozens, and piles of one kind share what it says.
def _kind(use: Use, dc: bool, max_power_w: float, outlets: int, highway: bool) -> dict[str, Any]:
    """What plans of a kind of pile have in common."""
    a_day = use.sessions_per_gun_day_dc if dc else use.sessions_per_gun_day_ac
    a_day *= use.highway_factor if highway else 1.0
    power_w = max_power_w / outlets
    mean, sigma = use.energy_kwh_dc if dc else use.energy_kwh_ac
    hours = mean / (power_w / 1000 * 0.6)  # That a session takes: cars take less than offered.
    return {
        "outlets": outlets,
        "dc": dc,
        "power_w": power_w,
        "sessions_per_hour": a_day / 24,
        "busy_share": min(0.9, a_day * hours / 24),
        "session_energy_kwh": (mean, sigma),
        "log_normal": True,
        "meter_interval_s": use.meter_interval_s,
        "fault_share": use.fault_share,
        "outages_per_hour": use.outages_per_day / 24,
        "outage_s": use.outage_s,
    }


@lru_cache(maxsize=1024)  # The piles of a location follow each other.
def _groups(operator: str, location: str, place: str | None) -> tuple[str, ...]:
    """What it may fail together with."""
    model = intern(f"model:{crc32(location.encode()) % _MODELS:02d}")
    return (intern(f"operator:{operator}"), model, *((intern(f"place:{place}"),) if place else ()))


def _lines(file: Path, part: Part) -> Iterator[object]:
    """The lines, decoded; None for the piles of other parts: most of what one of many processes reads."""
    number = piles = 0
    try:
        with file.open("rb") as lines:
            for line in lines:
                number += 1
                ours = piles % part.of == part.number
                if not ours and line.startswith(_A_PILE):
                    found = None
                else:
                    found = decode_line(line)
                    found = found if ours or not isinstance(found, Pile) else None
                piles += found is None or isinstance(found, Pile)
                yield found
    except OSError as error:
        raise ScenarioError(
            f"cannot read {file}: {error.strerror}. `csms-sim network --out {file}` makes one."
        ) from error
    except msgspec.DecodeError as error:
        raise ScenarioError(f"{file} holds no network, line {number}: {error}") from error
