"""The configuration of a station."""

from __future__ import annotations

import pytest

from csms.ocpp.version import Version
from simulators.scenarios import StationPlan
from simulators.settings import Settings, is_acceptable


@pytest.fixture
def settings() -> Settings:
    return Settings(StationPlan("CS-1", Version.V16, outlets=3, meter_interval_s=45.0))


def test_they_begin_as_the_plan_says(settings):
    assert settings.get("NumberOfConnectors") == "3"
    assert settings.get("MeterValueSampleInterval") == "45"
    assert (settings.meter_interval, settings.heartbeat_interval) == (45.0, 300.0)
    assert settings.authorizes_remote_starts
    assert settings.get("Nonsense") is None


def test_what_the_server_changed_counts(settings):
    settings.change("MeterValueSampleInterval", "15")
    settings.change("AuthorizeRemoteTxRequests", "false")

    assert settings.meter_interval == 15.0
    assert not settings.authorizes_remote_starts


@pytest.mark.parametrize("value", ["0", "-1", "often"])
def test_an_interval_that_is_none_is_the_usual_one(settings, value):
    settings.change("HeartbeatInterval", value)

    assert settings.heartbeat_interval == 300.0


@pytest.mark.parametrize(
    ("present", "wanted", "acceptable"),
    [
        ("60", "15", True),
        ("60", "often", False),
        ("true", "false", True),
        ("true", "1", False),
        ("Core", "", True),
    ],
)
def test_a_value_keeps_its_kind(present, wanted, acceptable):
    assert is_acceptable(present, wanted) is acceptable
