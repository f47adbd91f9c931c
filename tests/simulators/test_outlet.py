"""An outlet's life: a car comes, charges, goes; the register never falls."""

from __future__ import annotations

from simulators.outlet import Phase
from simulators.session import Why


def test_a_session_moves_the_register_up_and_its_end_frees_the_outlet(glass):
    outlet = glass.charge()
    before = outlet.reading().register_wh
    glass.pass_time(120)
    outlet.stop(Why.LOCAL)
    glass.pass_time(600)
    assert outlet.reading().register_wh > before
    session = glass.station.sessions[0]
    assert session.closed and session.energy_wh == session.end.register_wh - session.begin.register_wh
    assert outlet.phase is Phase.AVAILABLE


def test_a_fault_ends_the_session_and_is_repaired_by_and_by(glass):
    outlet = glass.charge()
    glass.pass_time(60)
    outlet.fail("GroundFailure")
    assert outlet.phase is Phase.FAULTED
    assert glass.station.sessions[0].why is Why.FAULT
    glass.pass_time(7200)
    assert outlet.phase is Phase.AVAILABLE


def test_out_of_service_outlet_takes_no_remote_start(glass):
    outlet = glass.station.outlets[0]
    outlet.set_operative(False)
    assert outlet.phase is Phase.UNAVAILABLE
    assert outlet.start_remotely("TAG") is False
