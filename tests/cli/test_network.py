"""`csms network …`, and a network's file in `csms station import`."""

from __future__ import annotations

import pytest

from simulators.network import Totals, lines, read_country, write


@pytest.fixture
def network(tmp_path):
    totals, file = Totals(), tmp_path / "network.ndjson"
    write(file, lines(read_country(), 0.0003), totals)
    return file, totals.plain()


def test_imported_network_adds_up_to_what_its_maker_said(cli, network):
    file, claimed = network
    assert cli.json("station", "import", str(file)) == {"created": claimed["stations"], "updated": 0}
    told = cli.json("network", "summary")
    assert {name: told[name] for name in ("operators", "stations", "dc_stations", "connectors", "locations")} == {
        name: claimed[name] for name in ("operators", "stations", "dc_stations", "connectors", "locations")
    }


def test_summary_is_shown_to_people(cli, network):
    cli("station", "import", str(network[0]))
    shown = cli("network", "summary").stdout
    assert "service area share" in shown and "85.7%" not in shown
    assert "dianmai" in shown and "DC STATIONS" in shown


def test_damaged_network_names_its_lines_and_what_is_in(cli, network):
    file, _ = network
    file.write_bytes(file.read_bytes() + b'{"kind": "tram"}\n')
    told = cli.fails("station", "import", str(file))
    assert "lines 2001 to" in told and "2000 lines are in" in told
