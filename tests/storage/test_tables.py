"""Tables: times are exact microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from csms.storage.tables import Instant, from_us, to_us


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_survive_to_the_microsecond(moment: datetime):
    assert from_us(to_us(moment)) == moment


def test_zone_does_not_matter():
    noon = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
    assert to_us(noon.astimezone(timezone(timedelta(hours=8)))) == to_us(noon) == 1_777_896_000_000_000


@pytest.mark.parametrize("moment", [None, datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)])
def test_column_gives_back_what_it_was_given(moment):
    column, dialect = Instant(), sqlite.dialect()
    assert column.process_result_value(column.process_bind_param(moment, dialect), dialect) == moment
