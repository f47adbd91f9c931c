"""Where a network stands."""

from __future__ import annotations

from random import Random

import pytest

from simulators import places
from simulators.places import Place
from simulators.scenarios import config_file


@pytest.fixture(scope="module")
def cities():
    return places.read_cities(config_file("cities.csv"), 365)


def test_there_are_365_cities_the_largest_first(cities):
    assert len(cities) == 365 == len({city.code for city in cities})
    assert cities[0].name == "Shanghai"
    assert [city.population for city in cities] == sorted((city.population for city in cities), reverse=True)


def test_provinces_get_the_share_they_are_given(cities):
    shares = {"Guangdong": 70.0, "others": 30.0}
    ends = places.weights(cities, shares)
    each = [after - before for before, after in zip([0.0, *ends], ends, strict=False)]
    assert sum(
        share for share, city in zip(each, cities, strict=True) if city.province == "Guangdong"
    ) == pytest.approx(70)
    assert ends[-1] == pytest.approx(100)


@pytest.mark.parametrize("number", [1, 700, 6650])
def test_so_many_service_areas_lie_along_the_roads_each_at_a_place_of_its_own(cities, number):
    areas = places.service_areas(cities, number)
    assert len(areas) == number == len({area.code for area in areas})
    assert len({(area.latitude, area.longitude) for area in areas}) == number


def test_one_city_alone_has_no_road(cities):
    assert places.service_areas(cities[:1], 5) == []


def test_scattered_points_lie_around_their_place():
    centre = Place("C", "Centre", 31.0, 121.0)
    rng = Random(1)
    away = []
    for _ in range(500):
        latitude, longitude = places.scattered(centre, 8.0, rng)
        away.append(places.distance_km(centre, Place("P", "Point", latitude, longitude)))
    assert 8 < sum(away) / len(away) < 12  # A Rayleigh spread: 1.25 sigma on average.
