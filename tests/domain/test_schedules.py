"""How a car that says what it needs is to charge, and whether its plan stays within what it was granted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from csms.domain.schedules import MARGIN, VOLTAGE, Needs, Steps, exceeds, levelled

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def after(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("needs", "limit"),
    [
        (Needs("W", 150_000), 150_000),
        (Needs("W", 150_000, energy_wh=30_000), 150_000),
        (Needs("W", 150_000, energy_wh=30_000, departure_at=after(2)), 15_000 * MARGIN),
        (Needs("W", 10_000, energy_wh=30_000, departure_at=after(2)), 10_000),
        (Needs("W", 10_000, energy_wh=30_000, departure_at=after(-1)), 10_000),
        (Needs("A", 32, 6, 3, 23_000, after(8)), 6.0),
        (Needs("A", 32, 6, 3, 40_000, after(4)), round(40_000 * MARGIN / 4 / VOLTAGE / 3, 1)),
        (Needs("A", 32, 6, 1, 40_000, after(4)), 32),
    ],
    ids=["power alone", "no departure", "even", "no faster than it can", "already gone", "no slower than it can", "AC", "1 phase"],
)  # fmt: skip
def test_energy_is_spread_evenly_until_departure(needs, limit):
    assert levelled(needs, NOON) == pytest.approx(limit)


def steps(*limits: tuple[float, float], unit="W", phases=3) -> Steps:
    return Steps(unit, phases, tuple(after(hours) for hours, _ in limits), tuple(limit for _, limit in limits))


@pytest.mark.parametrize(
    ("plan", "granted", "too_much"),
    [
        (steps((0, 100)), steps((0, 100)), False),
        (steps((0, 100.04)), steps((0, 100)), False),
        (steps((0, 100.1)), steps((0, 100)), True),
        (steps((0, 50), (1, 150)), steps((0, 100)), True),
        (steps((0, 150), (1, 50)), steps((0, 200), (2, 60)), False),
        (steps((0, 150)), steps((0, 200), (2, 100)), True),
        (steps((0, 16), unit="A"), steps((0, 3 * 230 * 16)), False),
        (steps((0, 17), unit="A"), steps((0, 3 * 230 * 16)), True),
        (steps((0, 16), unit="A", phases=1), steps((0, 6), unit="A"), False),
        (steps((0, 999)), steps((1, 100)), True),
        (steps((0, 999), (0.5, 10)), steps((1, 100)), False),
    ],
)
def test_plan_is_measured_at_every_moment(plan, granted, too_much):
    assert exceeds(plan, granted) is too_much
