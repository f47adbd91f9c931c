"""Demand follows the hours of its own day."""

from __future__ import annotations

from simulators.demand import Demand

NOON_IN_SHANGHAI = 4 * 3600.0


def test_without_hours_demand_is_even():
    assert {Demand(level=2.0).at(hour * 3600.0) for hour in range(24)} == {2.0}


def test_hours_count_in_the_zone_of_the_network():
    hours = [0.0] * 24
    hours[12] = 1.0
    demand = Demand(hours, level=0.5)
    assert (demand.at(NOON_IN_SHANGHAI), demand.at(NOON_IN_SHANGHAI - 1), demand.peak) == (12.0, 0.0, 12.0)


def test_cars_come_when_demand_is(make_glass):
    hours = [0.0] * 24
    hours[12] = 1.0
    glass = make_glass(sessions_per_hour=1.0)
    glass.world.demand = Demand(hours)
    glass.connect()
    came = set()
    for _ in range(3 * 24 * 6):
        before = len(glass.station.sessions)
        glass.pass_time(600)
        if len(glass.station.sessions) > before:
            came.add(int((glass.clock.now() / 3600 + 8) % 24))
    assert came and came <= {12, 13}
