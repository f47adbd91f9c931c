"""How a battery fills."""

from __future__ import annotations

from random import Random

import pytest

from simulators.car import Car, arriving_car


def test_on_ac_the_power_is_flat_until_the_battery_is_full():
    car = Car(capacity_wh=50_000, soc=0.5, max_power_w=11_000)

    powers = []
    while not car.full:
        powers.append(car.power(22_000, dc=False))
        car.charge(600, 22_000, dc=False)
    assert set(powers) == {11_000}
    assert car.power(22_000, dc=False) == 0.0


def test_on_dc_the_power_falls_above_the_taper():
    car = Car(capacity_wh=60_000, soc=0.2, max_power_w=120_000, taper_from=0.7)

    below = car.power(300_000, dc=True)
    car.soc = 0.7
    at = car.power(300_000, dc=True)
    powers = []
    for soc in (0.75, 0.8, 0.9, 0.99):
        car.soc = soc
        powers.append(car.power(300_000, dc=True))

    assert below == at == 120_000
    assert powers == sorted(powers, reverse=True)
    assert powers[0] < at
    assert powers[-1] < 0.1 * at


@pytest.mark.parametrize("dc", [True, False])
def test_the_station_offers_and_the_car_takes_no_more(dc):
    car = Car(capacity_wh=60_000, soc=0.2, max_power_w=120_000)

    assert car.power(50_000, dc=dc) == 50_000
    assert car.power(200_000, dc=dc) == 120_000


def test_energy_is_power_over_time():
    car = Car(capacity_wh=100_000, soc=0.1, max_power_w=60_000)

    assert car.charge(1800, 60_000, dc=True) == pytest.approx(30_000)
    assert car.soc == pytest.approx(0.4)
    assert car.taken_wh == pytest.approx(30_000)


@pytest.mark.parametrize("steps", [1, 7, 600])
def test_energy_does_not_depend_much_on_how_often_one_looks(steps):
    car = Car(capacity_wh=60_000, soc=0.5, max_power_w=120_000, taper_from=0.7)
    for _ in range(steps):
        car.charge(1800 / steps, 150_000, dc=True)

    assert car.taken_wh == pytest.approx(29_443, rel=0.01)  # The curve, integrated on paper.


def test_a_battery_never_takes_more_than_fits():
    car = Car(capacity_wh=40_000, soc=0.9, max_power_w=22_000)

    assert car.charge(100_000, 22_000, dc=False) == pytest.approx(4_000, abs=25)
    assert car.full
    assert car.charge(100_000, 22_000, dc=False) == 0.0


def test_the_same_dice_bring_the_same_car():
    assert arriving_car(Random(1), dc=True) == arriving_car(Random(1), dc=True)
    assert 0 < arriving_car(Random(2), dc=False).soc < 1
