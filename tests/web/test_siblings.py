"""One answer for all workers of a machine."""

from __future__ import annotations

from pathlib import Path

from csms.web.siblings import Siblings, summed

ONE = b"""# HELP csms_messages_total Calls.
# TYPE csms_messages_total counter
csms_messages_total{action="Heartbeat"} 3.0
csms_messages_total{action="MeterValues"} 1.0
# HELP csms_stations_connected Stations.
# TYPE csms_stations_connected gauge
csms_stations_connected 10.0
"""


def test_what_is_named_alike_is_added_up():
    lines = summed([ONE, ONE.replace(b" 10.0", b" 5.0")]).decode().splitlines()
    assert 'csms_messages_total{action="Heartbeat"} 6.0' in lines
    assert 'csms_messages_total{action="MeterValues"} 2.0' in lines
    assert "csms_stations_connected 15.0" in lines


def test_one_alone_is_given_as_it_is():
    assert summed([ONE]) is ONE


async def test_worker_that_has_died_is_left_out(tmp_path: Path):
    assert await Siblings(lambda: [tmp_path / "gone.sock"]).ask("/metrics") == []
