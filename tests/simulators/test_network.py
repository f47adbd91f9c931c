"""The national network adds up to what it claims to be, and is the same each time."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import pytest
from typer.testing import CliRunner

from simulators.__main__ import app
from simulators.network import City, Location, Pile, ServiceArea, Token, Totals, decode_line, lines, read_country
from simulators.scenarios import ScenarioError, config_file

SCALE = 0.01


@pytest.fixture(scope="module")
def country():
    return read_country()


@pytest.fixture(scope="module")
def built(country):
    return list(lines(country, SCALE))


@pytest.fixture(scope="module")
def piles(built):
    return [line for line in built if isinstance(line, Pile)]


def test_shipped_country_is_the_claimed_one(country):
    assert sum(operator.piles for operator in country.operator) == 1_020_000
    assert sorted(o.piles for o in country.operator if o.car_maker) == [6_000, 9_000, 14_000]
    assert len(country.operator) == 13
    assert country.network.cities == 365
    assert sum(country.use.hours) == pytest.approx(1)
    for spread in (country.power.dc, country.power.car_maker, country.power.highway, country.power.ac):
        assert sum(spread.values()) == pytest.approx(1)
    mean_kw = sum(float(power) * share for power, share in country.power.dc.items())
    assert 65 <= mean_kw <= 85


def test_same_seed_makes_the_same_network_and_another_another(country):
    def head(seed: int) -> list:
        return list(islice(lines(country, SCALE, seed), 3_000))

    assert head(1) == head(1) != head(2)


def test_every_operator_has_its_piles(country, built):
    totals = Totals()
    for line in built:
        totals.add(line)
    told = totals.plain()
    assert {name: each["stations"] for name, each in told["by_operator"].items()} == {
        operator.name: round(operator.piles * SCALE) for operator in country.operator
    }
    assert told["stations"] == 10_200
    assert told["service_areas"] == 66 and told["service_areas_covered"] == 58


def test_shares_hold(piles, country):
    dc = [pile for pile in piles if pile.current == "DC"]
    assert 0.79 < len(dc) / len(piles) < 0.82
    assert 1.35 < sum(pile.connectors for pile in piles) / len(piles) < 1.45
    assert 0.09 < sum(pile.version == "2.0.1" for pile in piles) / len(piles) < 0.11
    makers = {operator.name for operator in country.operator if operator.car_maker}
    assert {pile.current for pile in piles if pile.operator in makers} == {"DC"}


def test_service_areas_have_both_sides_and_dc_only(built):
    sides = Counter(line.service_area for line in built if isinstance(line, Location) and line.service_area)
    assert set(sides.values()) == {2}
    roadside = {line.code for line in built if isinstance(line, Location) and line.service_area}
    assert {line.current for line in built if isinstance(line, Pile) and line.location in roadside} == {"DC"}


def test_places_come_first_and_each_pile_follows_its_location(built):
    kinds = [type(line) for line in built]
    first = kinds.index(Location)
    assert set(kinds[:first]) == {City, ServiceArea, Token}
    assert set(kinds[first:]) == {Location, Pile}
    where = None
    for line in built[first:]:
        if isinstance(line, Location):
            where = line
        else:
            assert (line.location, line.operator) == (where.code, where.operator)


def test_identities_and_passwords_are_unique_and_fit(piles):
    identities = {(pile.operator, pile.id) for pile in piles}
    assert len(identities) == len(piles) == len({pile.password for pile in piles})
    assert all(len(pile.id) <= 20 and 16 <= len(pile.password) <= 40 for pile in piles)


def test_command_writes_a_file_and_says_what_it_adds_up_to(tmp_path):
    out = tmp_path / "network.ndjson"
    result = CliRunner().invoke(app, ["network", "--scale", "0.001", "--out", str(out), "--json"])
    told = json.loads(result.stdout)
    assert (
        told["stations"] == sum(isinstance(decode_line(line), Pile) for line in out.read_bytes().splitlines()) == 1020
    )
    assert out.stat().st_mode & 0o077 == 0  # It holds passwords.


@pytest.mark.parametrize(
    ("text", "says"), [("[network]", "describes no network"), ("x = [", "describes no network"), (None, "cannot read")]
)
def test_description_that_is_none_is_told(tmp_path, text, says):
    file = tmp_path / "network.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ScenarioError, match=says):
        read_country(file)


def test_day_needs_24_hours(tmp_path):
    file = tmp_path / "network.toml"
    file.write_text(config_file("network.toml").read_text("utf-8").replace("hours = [0.055, ", "hours = ["), "utf-8")
    with pytest.raises(ScenarioError, match="24 hours"):
        read_country(file)
