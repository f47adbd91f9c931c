"""Dice that are small, even, and always the same."""

from __future__ import annotations

from statistics import mean, pstdev

from simulators.dice import Dice


def test_same_seed_throws_the_same():
    def throw(seed: str) -> list[float]:
        dice = Dice(seed)
        return [dice.random() for _ in range(5)]

    assert throw("a") == throw("a") != throw("b")


def test_numbers_are_evenly_spread():
    dice = Dice("even")
    thrown = [dice.random() for _ in range(20_000)]
    assert min(thrown) >= 0 and max(thrown) < 1
    assert abs(mean(thrown) - 0.5) < 0.01 and abs(pstdev(thrown) - 0.2887) < 0.01


def test_distributions_are_the_standard_librarys():
    dice = Dice("spread")
    assert abs(mean(dice.expovariate(0.5) for _ in range(20_000)) - 2) < 0.1
    assert abs(mean(dice.lognormvariate(-0.18, 0.6) for _ in range(20_000)) - 1) < 0.05
    assert {dice.choice("abc") for _ in range(100)} == set("abc")
    assert all(2 <= dice.uniform(2, 3) <= 3 and 0 <= dice.triangular(0, 1, 0.5) <= 1 for _ in range(100))
