"""What befalls many stations at once."""

from __future__ import annotations

import pytest

from csms.ocpp.version import Version
from simulators.incidents import Incident, incident
from simulators.scenarios import ScenarioError, StationPlan

PLAN = StationPlan("CS-1", Version.V16, groups=("operator:dianmai", "place:C0003", "model:07"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all@60", Incident("all", 60)),
        ("operator:dianmai@1.5+30", Incident("operator:dianmai", 1.5, 30)),
        ("place:C0003@0+0.5", Incident("place:C0003", 0, 0.5)),
    ],
)
def test_incident_is_who_when_and_how_long(text, wanted):
    assert incident(text) == wanted
    assert wanted.befalls(PLAN)


@pytest.mark.parametrize("text", ["", "all", "all@", "somebody@3", "operator:@3", "all@-1", "all@1+x"])
def test_what_is_no_incident_says_how_to_write_one(text):
    with pytest.raises(ScenarioError, match="WHO@SECOND"):
        incident(text)


def test_others_are_spared():
    assert not Incident("operator:other", 1).befalls(PLAN)


def test_station_that_is_cut_comes_back_by_itself(make_glass):
    glass = make_glass().connect()
    glass.station.link.keep_away(0)
    assert glass.world.tally.connected == 0
    glass.pass_time(21)
    assert glass.world.tally.connected == 1


def test_station_that_is_kept_away_comes_back_when_it_may(make_glass):
    glass = make_glass().connect()
    glass.station.link.keep_away(100)
    glass.pass_time(99)
    assert glass.office.dials == 1
    glass.pass_time(2)
    assert glass.world.tally.connected == 1
