"""Where a national network stands: cities by weight, and highway service areas along the roads between them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import cos, hypot, radians
from pathlib import Path
from random import Random

KM_PER_DEGREE = 111.2
_WEIGHT = 1.15  # Piles grow somewhat faster than people.
_ROADS = 6  # To how many of its nearest neighbours a city has a road.
_LONGEST_KM = 600.0
_SPACING_KM = 50.0
_GOLDEN = 0.618


@dataclass(frozen=True, slots=True)
class Place:
    """A city, or a highway service area. WGS-84, degrees."""

    code: str
    name: str
    latitude: float
    longitude: float
    province: str = ""
    population: int = 0


def read_cities(file: Path, most: int) -> list[Place]:
    """The largest cities of a table of name, province, latitude, longitude and population, the largest first."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        cities = [
            Place(f"C{number:04d}", row["name"], float(row["latitude"]), float(row["longitude"]), row["province"],
                  int(row["population"]))
            for number, row in enumerate(rows, 1)
        ]  # fmt: skip
    return cities[:most]


def weights(cities: list[Place], provinces: Mapping[str, float]) -> list[float]:
    """Cumulated shares of the cities: by population within a province, as `provinces` says between them."""
    raw = [city.population**_WEIGHT for city in cities]
    homes = [city.province if city.province in provinces else "others" for city in cities]
    totals: dict[str, float] = {}
    for home, weight in zip(homes, raw, strict=True):
        totals[home] = totals.get(home, 0.0) + weight
    return list(accumulate(provinces[home] * weight / totals[home] for home, weight in zip(homes, raw, strict=True)))


def service_areas(cities: list[Place], number: int) -> list[Place]:
    """So many service areas, evenly along the roads between neighbouring cities, the busiest roads first."""
    roads = _roads(cities)
    found: list[Place] = []
    spacing, shift = _SPACING_KM, 0.0
    while roads and len(found) < number:
        for one, other, length in roads:
            stops = max(1, round(length / spacing))
            for stop in range(1, stops + 1):
                share = (stop - 0.5 + shift) / stops % 1.0
                found.append(
                    Place(
                        f"S{len(found) + 1:05d}", f"{one.name}–{other.name} {round(share * length)} km",
                        round(one.latitude + share * (other.latitude - one.latitude), 5),
                        round(one.longitude + share * (other.longitude - one.longitude), 5), one.province,
                    )
                )  # fmt: skip
                if len(found) == number:
                    return found
        spacing, shift = spacing / 1.9, shift + _GOLDEN  # A denser round, never at the places of those before.
    return found


def distance_km(one: Place, other: Place) -> float:
    """Near enough for a few hundred kilometres."""
    north = (one.latitude - other.latitude) * KM_PER_DEGREE
    east = (one.longitude - other.longitude) * KM_PER_DEGREE * cos(radians(one.latitude))
    return hypot(north, east)


def scattered(place: Place, sigma_km: float, rng: Random) -> tuple[float, float]:
    """(latitude, longitude) of a point around the place."""
    north, east = rng.gauss(0, sigma_km), rng.gauss(0, sigma_km)
    latitude = place.latitude + north / KM_PER_DEGREE
    longitude = place.longitude + east / (KM_PER_DEGREE * cos(radians(place.latitude)))
    return round(latitude, 5), round(longitude, 5)


def _roads(cities: list[Place]) -> list[tuple[Place, Place, float]]:
    roads: dict[tuple[int, int], float] = {}
    for at, city in enumerate(cities):
        away = sorted((distance_km(city, other), to) for to, other in enumerate(cities) if to != at)
        for length, to in away[:_ROADS]:
            if length <= _LONGEST_KM:
                roads[min(at, to), max(at, to)] = length
    return [(cities[one], cities[other], length) for (one, other), length in sorted(roads.items())]
