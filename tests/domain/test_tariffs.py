"""What a session costs."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.sessions import BEGIN, END, Mark, Session
from csms.domain.tariffs import Tariff, cost, tariff_at
from tests.conftest import NOW

PRICED = Tariff("EUR", per_kwh=450_000, per_minute=50_000, per_session=1_000_000)


def session(energy_wh: float = 10_000, minutes: float = 30, *, open: bool = False) -> Session:
    begun = Session(
        id=1, transaction_id="1", start_key="k", version="1.6", started_at=NOW, received_at=NOW,
        first=Mark(BEGIN, NOW, 0.0), last=Mark(END, NOW, energy_wh),
        ended_at=None if open else NOW + timedelta(minutes=minutes),
    )  # fmt: skip
    return begun


def test_energy_time_and_session_fee_add_up():
    assert cost(PRICED, session(), NOW) == Decimal("7.00")  # 1 + 10 × 0.45 + 30 × 0.05


def test_running_session_costs_what_it_took_so_far():
    assert cost(PRICED, session(1_000, open=True), NOW + timedelta(minutes=2)) == Decimal("1.55")


def test_without_a_tariff_it_is_free():
    assert cost(None, session(), NOW) == Decimal("0.00")


def test_half_a_cent_is_rounded_up():
    assert cost(Tariff("EUR", per_kwh=500_000), session(10), NOW) == Decimal("0.01")


@pytest.mark.parametrize("minutes", [-10, 0])
def test_station_whose_clock_went_back_pays_nobody(minutes):
    assert cost(PRICED, session(0, minutes), NOW) == Decimal("1.00")


@given(
    st.floats(0, 1e9), st.floats(0, 1e6), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)
)  # fmt: skip
def test_cost_is_never_negative_and_grows_with_each_part(energy, minutes, kwh, minute, fee):
    tariff = Tariff("EUR", kwh, minute, fee)
    taken = cost(tariff, session(energy, minutes), NOW)
    assert Decimal(0) <= taken <= cost(tariff, session(energy + 1000, minutes + 1), NOW)


def test_tariff_of_the_moment_a_session_began_counts():
    old, new = Tariff("EUR", 1), Tariff("EUR", 2, valid_from=NOW)
    assert tariff_at([old, new], NOW - timedelta(seconds=1)) is old
    assert tariff_at([old, new], NOW) is new
    assert tariff_at([new], NOW - timedelta(seconds=1)) is None
    assert tariff_at([], NOW) is None
