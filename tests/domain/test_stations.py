"""Stations: what is news about a connector, and which of its times can be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.sessions import Session
from csms.domain.stations import WHOLE_STATION, Connector, ConnectorRef, Station, is_identity, trusted_time

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
FREE = Connector(1, 1, "available", NOON)


@pytest.fixture
def station() -> Station:
    return Station(1, 1, "default", "CS-1")


def test_connector_is_known_by_evse_and_number():
    assert FREE.ref == ConnectorRef(1, 1)
    assert WHOLE_STATION == (0, 0)


def test_first_report_of_any_connector_is_news(station):
    assert station.is_news(FREE)


@pytest.mark.parametrize(
    ("change", "news"),
    [
        ({}, False),
        ({"reported_at": NOON + timedelta(hours=1)}, False),
        ({"status": "occupied"}, True),
        ({"detail": "Finishing"}, True),
        ({"error_code": "OtherError"}, True),
        ({"error_info": "door open"}, True),
        ({"vendor_error_code": "E7"}, True),
        ({"status": "occupied", "reported_at": NOON - timedelta(seconds=1)}, False),
    ],
)
def test_T39_report_is_news_when_it_differs_and_is_not_older(station, change, news):
    station.connectors = {FREE.ref: FREE}
    assert station.is_news(msgspec.structs.replace(FREE, **change)) is news


def test_open_session_is_found_by_the_stations_word_for_it(station):
    running = Session(id=9, transaction_id="T", start_key="T", version="2.0.1", started_at=NOON, received_at=NOON)
    assert station.open_sessions() == []
    assert station.open_session("T") is None
    station.sessions = {9: running}
    assert station.open_session("T") is running
    assert station.open_session("U") is None


@pytest.mark.parametrize(
    ("claimed", "trusted"),
    [
        (None, NOON),
        (datetime(1970, 1, 1, tzinfo=UTC), NOON),
        (datetime(2000, 1, 1, tzinfo=UTC), NOON),
        (datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
        (NOON + timedelta(hours=14), NOON + timedelta(hours=14)),
        (datetime(2099, 1, 1, tzinfo=UTC), NOON),
    ],
)
def test_T49_our_time_stands_in_for_a_lost_clock(claimed, trusted):
    assert trusted_time(claimed, NOON) == trusted


@pytest.mark.parametrize("name", ["CS-1", "RDAM 123", "RDAM|123", "RDAM/123", "Säule", "x" * 48, "..", "%41"])
def test_identity_may_be_any_short_printable_text(name):
    assert is_identity(name)


@pytest.mark.parametrize("name", ["", " ", "a:b", "a\nb", "a\0b", "x" * 49, "\u200b", "\u202e"])
def test_identity_has_no_colon_or_control_character(name):
    assert not is_identity(name)


@given(st.text(max_size=60))
def test_identity_never_breaks_credentials_or_log_lines(name: str):
    if is_identity(name):
        assert 0 < len(name) <= 48 and not {":", "\n", "\r", "\0"} & {*name} and name.strip()
