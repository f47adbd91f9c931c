"""The table of repairs: each has a name, says what it mends, and gives up where it has nothing to offer."""

from __future__ import annotations

import pytest
from msgspec import inspect

from csms.ocpp.repairs import LAWFUL, REPAIRS, STUCK, Place, described, shortened

PLACE = Place("StartTransaction", "meterStart", ("meterStart",))


def test_every_repair_is_described_for_people_once():
    told = dict(described())
    assert all(told.values())
    assert {repair.name for repair in REPAIRS} <= told.keys()


def test_lawful_repairs_are_some_of_all():
    assert set(LAWFUL) < set(REPAIRS)


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.name)
@pytest.mark.parametrize("value", [None, [], {}], ids=repr)
def test_no_repair_breaks_on_what_it_cannot_mend(repair, value):
    kinds = {
        inspect.IntType: inspect.IntType(),
        inspect.FloatType: inspect.FloatType(),
        inspect.BoolType: inspect.BoolType(),
        inspect.StrType: inspect.StrType(max_length=2),
        inspect.LiteralType: inspect.LiteralType(values=("A", "B")),
        inspect.DateTimeType: inspect.DateTimeType(tz=True),
    }
    kind = kinds.get(repair.of)
    if kind is not None:
        mended = repair.mend(kind, value, PLACE)
        assert mended is STUCK or mended is not value


def test_what_is_shown_of_a_value_is_short():
    assert len(shortened("x" * 10_000)) < 200
