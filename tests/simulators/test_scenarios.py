"""Scenarios are data, and the same dice make the same fleet."""

from __future__ import annotations

import tomllib

import pytest

from csms.ocpp.version import Version
from simulators import scenarios
from simulators.scenarios import Scenario, ScenarioError, load, throw_dice, version_of


def test_every_scenario_shipped_can_be_loaded():
    path = scenarios.config_file("fleet.toml")
    names = tomllib.loads(path.read_text())["scenario"]

    assert {"everyday", "demo", "busy", "rough", "idle"} <= set(names)
    for name in names:
        assert load(path, name).about


def test_the_shipped_file_writes_down_the_defaults_it_promises():
    everyday = load(None, "everyday")

    assert everyday == Scenario(about=everyday.about)


def test_an_installed_wheel_finds_its_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(scenarios, "__file__", str(tmp_path / "simulators" / "scenarios.py"))

    assert scenarios.config_file("fleet.toml").parts[-3:] == ("csms", "config", "fleet.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("default = 1", "not a file of scenarios"),
        ("default = [", "not a file of scenarios"),
        ('default = "a"\n[scenario.a]\ndc_shaer = 1.0', "dc_shaer"),
        ('default = "a"\n[scenario.b]', "no scenario 'a', but b"),
    ],
)
def test_a_file_that_is_wrong_says_what(tmp_path, text, says):
    path = tmp_path / "fleet.toml"
    path.write_text(text)

    with pytest.raises(ScenarioError, match=says):
        load(path)


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ScenarioError, match="cannot read"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_mixed_fleet_keeps_its_shares(share):
    versions = [version_of(number, "mix", share) for number in range(1, 101)]

    assert versions.count(Version.V201) == 100 * share


def test_a_fleet_of_one_version_has_no_other():
    assert {version_of(number, "1.6", 0.5) for number in range(1, 10)} == {Version.V16}


def test_the_same_seed_makes_the_same_station_and_another_seed_another():
    one = throw_dice(Scenario(), "SIM-00001", Version.V201, seed=1)

    assert one == throw_dice(Scenario(), "SIM-00001", Version.V201, seed=1)
    assert one != throw_dice(Scenario(), "SIM-00001", Version.V201, seed=2)


def test_dice_stay_within_the_scenario():
    dice = Scenario(outlets=(2, 4), dc_share=1.0, dc_power_kw=(50.0, 60.0), kwh_share=1.0, flapping_share=1.0)
    plans = [throw_dice(dice, f"S{number}", Version.V16) for number in range(50)]

    assert {plan.outlets for plan in plans} == {2, 3, 4}
    assert all(plan.dc and 50_000 <= plan.power_w <= 60_000 for plan in plans)
    assert {plan.unit for plan in plans} == {"kWh"}
    assert {plan.outages_per_hour for plan in plans} == {60.0}
    assert not any(plan.starts_on_plug for plan in plans)  # 1.6 has no such start.
