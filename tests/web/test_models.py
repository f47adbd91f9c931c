"""What a client may send: names that can connect, moments that exist, nothing unknown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from csms.web.models import MAX_INT31, Name, SessionStart, StationChange, TokenChange


@pytest.mark.parametrize("name", ["CS-1", "x" * 48, "a b", "Ä"])
def test_name_that_can_connect_is_taken(name):
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a:b", "x" * 49, "a\n", "\ufffd"])
def test_name_that_cannot_connect_is_refused(name):
    with pytest.raises(ValidationError, match="1 to 48 printable characters"):
        TypeAdapter(Name).validate_python(name)


def test_moment_is_kept_in_utc():
    change = TokenChange(expires_at="2027-01-01T05:30:00+05:30")
    assert change.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert change.expires_at.tzinfo is UTC


@pytest.mark.parametrize("moment", ["2027-01-01T00:00:00", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"])
def test_moment_without_a_place_in_utc_is_refused(moment):
    with pytest.raises(ValidationError, match="time"):
        TokenChange(expires_at=moment)


def test_password_left_out_is_another_thing_than_none():
    assert StationChange().model_fields_set == set()
    assert StationChange(password=None).model_fields_set == {"password"}


def test_evse_is_a_number_that_ocpp_knows():
    assert SessionStart(station_id="CS-1", token="TAG", evse_id=MAX_INT31).evse_id == MAX_INT31
    for wrong in (0, MAX_INT31 + 1):
        with pytest.raises(ValidationError):
            SessionStart(station_id="CS-1", token="TAG", evse_id=wrong)


def test_typing_mistake_does_not_go_unnoticed():
    with pytest.raises(ValidationError, match="staton_id"):
        SessionStart(staton_id="CS-1", token="TAG")
