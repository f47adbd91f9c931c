"""A whole country's network of stations, seeded: the same seed gives the same lines, whatever the machine.

A file of it is NDJSON. First come the places (`city`, `service_area`: those that exist, with chargers or without), then
each `location` followed by its `station`s. `csms station import` reads it, `csms-sim run --network` drives it.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from base64 import b32encode
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec

from simulators import places
from simulators.places import Place
from simulators.scenarios import ScenarioError, config_file

Spread = dict[str, float]  # kW: share.


class Operator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who runs piles. A car maker's are all DC and strong."""

    name: str
    piles: int
    car_maker: bool = False


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the network is laid out; `config/network.toml` explains each."""

    cities: int
    service_areas: int
    service_areas_covered: float
    service_area_guns: tuple[int, int]
    location_piles: tuple[float, float]
    ocpp_201: float
    urban_dc: float
    mixed: float
    two_guns: float
    tokens: int
    scatter_km: tuple[float, float]


class Power(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dc: Spread
    car_maker: Spread
    highway: Spread
    ac: Spread


class Use(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What drivers do with it: averages over a day, by hour, and what goes wrong."""

    sessions_per_gun_day_dc: float
    sessions_per_gun_day_ac: float
    energy_kwh_dc: tuple[float, float]
    energy_kwh_ac: tuple[float, float]
    hours: tuple[float, ...]
    highway_factor: float
    heartbeat_s: float
    meter_interval_s: float
    fault_share: float
    outages_per_day: float
    outage_s: tuple[float, float]


class Country(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a network is made from."""

    network: Layout
    operator: tuple[Operator, ...]
    power: Power
    provinces: dict[str, float]
    use: Use


class City(msgspec.Struct, tag_field="kind", tag="city", frozen=True):
    code: str
    name: str
    latitude: float
    longitude: float


class ServiceArea(msgspec.Struct, tag_field="kind", tag="service_area", frozen=True):
    code: str
    name: str
    latitude: float
    longitude: float


class Location(msgspec.Struct, tag_field="kind", tag="location", frozen=True, omit_defaults=True):
    """A place with piles of one operator: in a city, or on one side of a highway service area."""

    operator: str
    code: str
    name: str
    latitude: float
    longitude: float
    city: str | None = None
    service_area: str | None = None


class Pile(msgspec.Struct, tag_field="kind", tag="station", frozen=True):
    """One OCPP station with `connectors` guns; `max_power_w` is what it gives in all (W)."""

    operator: str
    id: str
    location: str
    version: Literal["1.6", "2.0.1"]
    password: str | None
    current: Literal["AC", "DC"]
    max_power_w: int
    connectors: int


class Token(msgspec.Struct, tag_field="kind", tag="token", frozen=True):
    """A card that every driver of the simulation may hold."""

    operator: str
    value: str


Line = City | ServiceArea | Location | Pile | Token
decode_line = msgspec.json.Decoder(Line).decode


def read_country(file: Path | None = None) -> Country:
    """What the file says (the shipped one without)."""
    path = file or config_file("network.toml")
    try:
        country = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Country)
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ScenarioError(f"{path} describes no network: {error}") from error
    if len(country.use.hours) != 24 or "others" not in country.provinces:
        raise ScenarioError(f"{path} describes no network: it needs 24 hours and a share of the other provinces")
    return country


def lines(country: Country, scale: float, seed: int = 0, *, passwords: bool = True) -> Iterator[Line]:
    """The network at `scale` (1 is the whole country), line by line."""
    cities = places.read_cities(config_file("cities.csv"), country.network.cities)
    areas = places.service_areas(cities, max(1, round(country.network.service_areas * scale)))
    yield from (City(city.code, city.name, city.latitude, city.longitude) for city in cities)
    yield from (ServiceArea(area.code, area.name, area.latitude, area.longitude) for area in areas)
    for operator in country.operator:
        yield from (Token(operator.name, f"SIM-TOKEN-{number:04d}") for number in range(1, country.network.tokens + 1))
    yield from _Builder(country, scale, seed, cities, passwords=passwords).built(areas)


def write(file: Path, network: Iterable[Line], totals: Totals) -> None:
    """Write the lines; whoever reads them reads passwords, so the file is its owner's alone."""
    encode = msgspec.json.Encoder().encode
    with open(file, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
        for line in network:
            totals.add(line)
            out.write(encode(line) + b"\n")


class Totals:
    """What the lines add up to: what a central system has to count when it has read them."""

    def __init__(self) -> None:
        self.by_operator: dict[str, dict[str, int]] = {}
        self.locations = self.cities = self.service_areas = 0
        self._covered: tuple[set[str], set[str]] = set(), set()

    def add(self, line: Line) -> None:
        match line:
            case City():
                self.cities += 1
            case ServiceArea():
                self.service_areas += 1
            case Location():
                self.locations += 1
                for covered, code in zip(self._covered, (line.city, line.service_area), strict=True):
                    if code is not None:
                        covered.add(code)
            case Pile():
                counts = self.by_operator.setdefault(line.operator, {"stations": 0, "dc_stations": 0, "connectors": 0})
                counts["stations"] += 1
                counts["dc_stations"] += line.current == "DC"
                counts["connectors"] += line.connectors

    def plain(self) -> dict[str, Any]:
        """The totals under the names that `GET /api/v1/network/summary` has for them."""
        cities, areas = map(len, self._covered)
        whole = {
            name: sum(counts[name] for counts in self.by_operator.values())
            for name in ("stations", "dc_stations", "connectors")
        }
        return {
            "operators": len(self.by_operator), **whole, "locations": self.locations, "cities": self.cities,
            "cities_covered": cities, "service_areas": self.service_areas, "service_areas_covered": areas,
            "service_area_share": round(areas / self.service_areas, 4) if self.service_areas else 0.0,
            "by_operator": self.by_operator,
        }  # fmt: skip


class _Builder:
    """Builds locations and piles until every operator has as many as it should."""

    def __init__(self, country: Country, scale: float, seed: int, cities: list[Place], *, passwords: bool):
        self._layout = country.network
        self._seed = seed
        self._rng = Random(f"network/{seed}")
        self._cities = cities
        self._weights = places.weights(cities, country.provinces)
        self._scatter = [self._rng.uniform(*country.network.scatter_km) for _ in cities]
        self._passwords = passwords
        self._operators = country.operator
        self._left = dict(zip(country.operator, _shares(country.operator, scale), strict=True))
        self._made = dict.fromkeys(country.operator, 0)
        self._piles = self._piles_201 = self._urban_piles = self._urban_piles_dc = self._locations = 0
        power = country.power
        self._spreads = {
            name: _spread(spread)
            for name, spread in (
                ("dc", power.dc),
                ("ac", power.ac),
                ("highway", power.highway),
                ("own", power.car_maker),
            )
        }

    def built(self, areas: list[Place]) -> Iterator[Line]:
        covered = self._rng.sample(areas, round(len(areas) * self._layout.service_areas_covered))
        for area in covered:
            for side in ("A", "B"):
                yield from self._roadside(area, side)
        for operator in self._operators:
            while self._left[operator]:
                yield from self._urban(operator)

    def _roadside(self, area: Place, side: str) -> Iterator[Line]:
        operators = [operator for operator, left in self._left.items() if left]
        if not operators:
            return
        (operator,) = self._rng.choices(operators, [self._left[operator] for operator in operators])
        code = self._location_code()
        latitude, longitude = places.scattered(area, 0.15, self._rng)
        name = f"{area.name}, side {side}"
        yield Location(operator.name, code, name, latitude, longitude, service_area=area.code)
        guns = self._rng.randint(*self._layout.service_area_guns)
        version = self._version()
        while guns > 0 and self._left[operator]:
            connectors = min(guns, self._guns())
            guns -= connectors
            yield self._pile(operator, code, version, "DC", "own" if operator.car_maker else "highway", connectors)

    def _urban(self, operator: Operator) -> Iterator[Line]:
        (at,) = self._rng.choices(range(len(self._cities)), cum_weights=self._weights)
        city, code = self._cities[at], self._location_code()
        latitude, longitude = places.scattered(city, self._scatter[at], self._rng)
        yield Location(operator.name, code, f"{city.name} {code}", latitude, longitude, city=city.code)
        size = min(self._left[operator], max(1, round(self._rng.lognormvariate(*self._layout.location_piles))))
        dc = size if operator.car_maker else self._dc_of(size)
        version = self._version()
        for number in range(size):
            if number < dc:
                spread = "own" if operator.car_maker else "dc"
                yield self._pile(operator, code, version, "DC", spread, self._guns())
            else:
                yield self._pile(operator, code, version, "AC", "ac", 1)

    def _dc_of(self, size: int) -> int:
        """How many of a location in a city: some have both kinds, the others bring the share where it belongs."""
        short = self._urban_piles_dc <= self._layout.urban_dc * self._urban_piles
        mixed = self._rng.random() < self._layout.mixed
        dc = size - size // 2 if mixed else size if short else 0
        self._urban_piles += size
        self._urban_piles_dc += dc
        return dc

    def _guns(self) -> int:
        return 2 if self._rng.random() < self._layout.two_guns else 1

    def _version(self) -> Literal["1.6", "2.0.1"]:
        """Alike for a location; the share holds in every stretch of the network."""
        return "2.0.1" if self._piles_201 < self._layout.ocpp_201 * self._piles else "1.6"

    def _location_code(self) -> str:
        self._locations += 1
        return f"L{self._locations:06d}"

    def _pile(
        self, operator: Operator, location: str, version: Literal["1.6", "2.0.1"], current: Literal["AC", "DC"],
        spread: str, connectors: int,
    ) -> Pile:  # fmt: skip
        self._left[operator] -= 1
        self._made[operator] += 1
        self._piles += 1
        self._piles_201 += version == "2.0.1"
        identity = f"{operator.name[:4].upper()}-{self._made[operator]:07d}"
        values, shares = self._spreads[spread]
        (power,) = self._rng.choices(values, cum_weights=shares)
        password = self._password(identity) if self._passwords else None
        return Pile(operator.name, identity, location, version, password, current, power, connectors)

    def _password(self, identity: str) -> str:
        """As good as the seed is secret: for simulated stations only."""
        digest = hashlib.blake2b(f"{self._seed}/{identity}".encode(), digest_size=15, person=b"csms network").digest()
        return b32encode(digest).decode().lower()


def _shares(operators: tuple[Operator, ...], scale: float) -> list[int]:
    """How many piles each has at this scale: at least one, and their sum is right to the pile."""
    exact = list(accumulate(operator.piles * scale for operator in operators))
    upto = [0, *map(round, exact)]
    return [max(1, after - before) for before, after in pairwise(upto)]


def _spread(spread: Spread) -> tuple[list[int], list[float]]:
    """(powers in W, cumulated shares)."""
    return [round(float(power) * 1000) for power in spread], list(accumulate(spread.values()))
