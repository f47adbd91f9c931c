"""Each trap, transport rule and row of bad input that a station can set has a test that is named after it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# A test's name, or the first field of a row that becomes its name.
NAMED = re.compile(r"^\s*(?:async )?def (test_\w+)|^\s*\(?\s*\"(T\d\d)\",", re.MULTILINE)


@pytest.fixture(scope="module")
def names() -> str:
    found = (match for path in TESTS.rglob("test_*.py") for match in NAMED.finditer(path.read_text("utf-8")))
    return " ".join(match[1] or match[2] for match in found)


WANTED = [
    *(f"T{number:02}" for number in range(1, 89)),
    *(f"rule_{number:02}" for number in range(1, 26)),
    *(f"I{number}" for number in range(1, 8)),
    *(f"N{number}" for number in (1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15)),
]


@pytest.mark.parametrize("wanted", WANTED)
def test_each_has_a_test_of_its_name(names: str, wanted: str):
    assert re.search(rf"(?:\b|_){wanted}(?:\b|_)", names)
