"""A station's own dice: the same seed throws the same, in a hundred bytes where `random.Random` takes 2,560."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

T = TypeVar("T")

_WORD = (1 << 64) - 1


class Dice:
    """SplitMix64 with the distributions of the standard library, which ask for `random` only."""

    __slots__ = ("_state",)

    def __init__(self, seed: str):
        self._state = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "big")

    def random(self) -> float:
        """The next number, evenly spread over [0, 1)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _WORD
        word = self._state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
        return ((word ^ (word >> 31)) >> 11) * 2.0**-53

    def choice(self, things: Sequence[T]) -> T:
        return things[int(self.random() * len(things))]

    uniform = Random.uniform
    expovariate = Random.expovariate
    triangular = Random.triangular
    normalvariate = Random.normalvariate
    lognormvariate = Random.lognormvariate
