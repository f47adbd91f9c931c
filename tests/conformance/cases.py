"""The certification cases for a central system: 77 of OCPP 1.6, 252 of OCPP 2.0.1 (Part 6 with errata).

A case passes when all tests named after it do: `test_TC_013_…` is case 013 of 1.6, `test_TC_B_12_…` case B_12 of 2.0.1.
`python -m tests.conformance.cases` prints the table of the README.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

V16 = tuple(["001", "003", "004_1", "004_2", "005_1", "007", "010", "011_1", "011_2", "012", "013", "014", "017_1", "017_2", "018_1", "019_1", "019_2", "021", "023_1", "023_2", "023_3", "024", "026", "028", "030", "031", "032_1", "037_1", "037_3", "039", "040_1", "040_2", "042_1", "042_2", "043_1", "043_3", "043_4", "043_5", "044_1", "044_2", "044_3", "045_1", "045_2", "046", "047", "048_1", "048_2", "048_3", "048_4", "049", "051", "052", "053", "054", "055", "056", "057", "059", "061", "064", "066", "067", "073", "074", "075_1", "075_2", "076", "077", "078", "079", "080", "081", "083", "085", "086", "087", "088"])  # fmt: skip

_V201 = {
    "A": "01 02 03 04 06 07 08 09 10 11 12 13 14 19",
    "B": "01 02 06 07 08 09 10 12 13 14 18 20 21 22 25 26 27 30 31 42 44 58",
    "C": "02 06 07 08 20 37 38 39 40 43 47 48 49 50 51 52",
    "D": "01 02 03 04 08 09",
    "E": "01 02 03 04 07 08 09 10 11 12 14 15 16 17 19 20 21 22 26 29 30 31 33 34 38 39 53",
    "F": "01 02 03 04 06 11 12 13 14 15 18 20 23 24 27",
    "G": "03 04 05 06 07 08 11 14 17 20",
    "H": "01 07 08 14 15 17 19 20 22",
    "I": "01 02",
    "J": "01 02 03 04 07 08 09 10 11",
    "K": "01 02 03 04 05 06 08 10 15 19 29 30 31 32 33 34 35 36 37 43 44 48 50 51 52 53 55 57 58 59 60 70",
    "L": "01 02 03 04 05 06 07 08 09 10 11 13 17 19 20 21 22 23 24",
    "M": "01 02 03 04 05 12 13 14 15 16 17 18 19 20 21 24 26 28",
    "N": "01 02 03 05 08 09 16 17 18 21 24 25 27 28 29 30 31 32 34 35 36 44 46 47 48 49 50 60 62 63",
    "O": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 17 18 19 25 26 27 28",
    "P": "02 03",
}
V201 = tuple(f"{block}_{number}" for block, numbers in _V201.items() for number in numbers.split())

BLOCKS = {
    "A": "Security", "B": "Provisioning", "C": "Authorization", "D": "Local list", "E": "Transactions",
    "F": "Remote control", "G": "Availability", "H": "Reservation", "I": "Tariff and cost", "J": "Meter values",
    "K": "Smart charging", "L": "Firmware", "M": "Certificates", "N": "Diagnostics", "O": "Display", "P": "Data transfer",
}  # fmt: skip

# Cases that do not pass yet, and why.
NOT_YET: dict[str, str] = {}

_NAME = re.compile(r"test_TC_(\d{3}(?:_\d(?!\d))?|[A-P]_\d\d)(?:_|$)")


def case_of(test: str) -> str | None:
    """The case that a test is named after."""
    found = _NAME.match(test)
    return found[1] if found else None


def tested(folder: Path = Path(__file__).parent) -> set[str]:
    """The cases that have a test."""
    text = "\n".join(path.read_text() for path in folder.glob("test_*.py"))
    return {name for name in (case_of(found) for found in re.findall(r"\btest_TC_\w+", text)) if name}


def table() -> str:
    """Case by case: passes, or why not."""
    done = tested() - NOT_YET.keys()
    lines = ["| version, block | pass | cases that pass | those that do not, and why |", "| --- | --: | --- | --- |"]
    lines.append(_row("1.6", V16, done))
    for block, title in BLOCKS.items():
        lines.append(_row(f"2.0.1 {block} {title}", [case for case in V201 if case[0] == block], done))
    return "\n".join(lines)


def _row(title: str, cases: Iterable[str], done: set[str]) -> str:
    cases = list(cases)
    passing = " ".join(case.partition("_")[2] if case[0].isalpha() else case for case in cases if case in done)
    missing = [f"{case}: {NOT_YET.get(case, 'no test yet')}" for case in cases if case not in done]
    return f"| {title} | {len(cases) - len(missing)} of {len(cases)} | {passing} | {'; '.join(missing)} |"


if __name__ == "__main__":
    print(table())
