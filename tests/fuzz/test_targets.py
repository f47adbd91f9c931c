"""The promises that `make fuzz` tries for a long time, tried for a moment: by seeds, and by bytes drawn from them."""

from __future__ import annotations

import os
import random

import pytest

from tests.fuzz.__main__ import NAMES, mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.fuzz

RUNS = int(os.environ.get("CSMS_FUZZ_RUNS", "1000"))


@pytest.mark.parametrize("name", NAMES)
def test_I1_promises_hold_for_sound_and_mutated_bytes(name: str):
    begun, dice, target = seeds(name), random.Random(name), TARGETS[name]
    for seed in begun:
        target(seed)
    for _ in range(RUNS):
        target(mutated(dice.choice(begun), dice))


def test_each_target_has_seeds_that_reach_it():
    assert set(NAMES) == set(TARGETS) and all(seeds(name) for name in NAMES)
