"""How a station comes to its server, and comes back."""

from __future__ import annotations

from csms.ocpp.version import Version
from simulators.connection import RefusedError

V16 = Version.V16


def test_back_off_is_the_standards_and_starts_afresh_after_success(make_glass):
    glass = make_glass(V16)
    glass.office.away = ConnectionRefusedError()
    waits = [glass.station.link.back_off(None) for _ in range(12)]

    for tries, wait in enumerate(waits):
        least = 10.0 * 2 ** min(tries, 3)
        assert least <= wait <= least + 10.0
    glass.office.away = None
    glass.connect()
    assert glass.station.link.back_off(None) <= 20.0


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(make_glass):
    glass = make_glass(V16)
    glass.office.away = RefusedError(503, "busy", retry_after=700.0)
    glass.station.connect()
    glass.pass_time(699)
    assert glass.office.dials == 1

    glass.pass_time(200)
    assert glass.office.dials == 2
    assert glass.world.tally.refused == {"503": 2}


def test_an_outage_comes_and_goes(make_glass):
    glass = make_glass(V16, outages_per_hour=60.0, outage_s=(10.0, 20.0)).connect()
    glass.pass_time(600)

    assert glass.world.tally.reconnects >= 3
    assert not glass.world.tally.refused


def test_after_hanging_up_it_does_not_come_back(glass):
    glass.station.hang_up()
    glass.pass_time(1000)

    assert glass.office.dials == 1
    assert glass.world.tally.connected == 0
