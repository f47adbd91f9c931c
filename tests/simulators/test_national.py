"""The stations of a network's file, as a fleet."""

from __future__ import annotations

import json
from itertools import chain
from statistics import mean

import pytest

from simulators import national
from simulators.dice import Dice
from simulators.national import Part
from simulators.network import Totals, lines, read_country, write
from simulators.scenarios import ScenarioError


@pytest.fixture(scope="module")
def country():
    return read_country()


@pytest.fixture(scope="module")
def file(tmp_path_factory, country):
    path = tmp_path_factory.mktemp("network") / "network.ndjson"
    write(path, lines(country, 0.001), Totals())
    return path


def test_parts_share_all_stations_among_them(file, country):
    whole, tokens = national.read(file, country)
    parts = [national.read(file, country, part=Part(number, 3))[0] for number in range(3)]
    assert len(whole) == 1020 and len(tokens) == 100
    key = lambda plan: (plan.operator, plan.identity)  # noqa: E731
    assert sorted(map(key, chain(*parts))) == sorted(map(key, whole))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_parts_are_the_same_however_the_lines_are_written(file, country, tmp_path):
    other = tmp_path / "other.ndjson"
    texts = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    other.write_text("".join(json.dumps(dict(reversed(text.items()))) + "\n" for text in texts), "utf-8")
    assert national.read(other, country, part=Part(1, 3)) == national.read(file, country, part=Part(1, 3))


def test_network_is_cut_where_fewer_are_wanted(file, country):
    parts = [national.read(file, country, part=Part(number, 2), most=101)[0] for number in range(2)]
    assert [len(part) for part in parts] == [51, 50]


def test_stations_have_their_power_password_and_ties(file, country):
    plans, _ = national.read(file, country)
    assert all(plan.password and plan.operator in plan.groups[0] for plan in plans)
    assert {plan.groups[2].partition(":")[0] for plan in plans} == {"place"}
    assert all(plan.outlets == 1 for plan in plans if not plan.dc)
    roadside = [plan for plan in plans if plan.groups[2].startswith("place:S")]
    assert min(plan.sessions_per_hour for plan in roadside) > max(
        plan.sessions_per_hour for plan in plans if plan not in roadside
    )


def test_drivers_want_what_the_country_says_on_average(file, country):
    dice = Dice("drivers")
    plans, _ = national.read(file, country)
    dc = next(plan for plan in plans if plan.dc)
    assert mean(dc.wanted_wh(dice) for _ in range(5_000)) == pytest.approx(23_000, rel=0.05)


def test_share_of_busy_guns_is_that_of_a_country(file, country):
    plans, _ = national.read(file, country)
    busy = sum(plan.busy_share * plan.outlets for plan in plans) / sum(plan.outlets for plan in plans)
    assert 0.05 < busy < 0.15


def test_file_that_is_none_is_told(tmp_path, country):
    with pytest.raises(ScenarioError, match="csms-sim network"):
        national.read(tmp_path / "none", country)
    (tmp_path / "odd").write_text('{"kind": "city"}\n')
    with pytest.raises(ScenarioError, match="line 1"):
        national.read(tmp_path / "odd", country)
