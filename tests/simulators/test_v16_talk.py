"""What a station says in OCPP 1.6 is valid by the official schemas, from its boot to the end of a session."""

from __future__ import annotations

import msgspec

from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, action_of
from simulators import v16_talk as talk
from simulators.session import Why


def assert_valid(message: msgspec.Struct) -> None:
    assert schemas.violation(action_of(type(message)), msgspec.json.decode(msgspec.json.encode(message))) is None


def test_each_message_of_a_session_is_valid(make_glass):
    glass = make_glass(Version.V16).connect()
    outlet = glass.charge()
    glass.pass_time(120)
    outlet.stop(Why.LOCAL)
    session = glass.station.sessions[0]
    session.transaction_id = session.transaction_id or "77"
    assert_valid(talk.boot(glass.station))
    assert_valid(talk.heartbeat())
    assert_valid(talk.authorize("TAG"))
    for status in talk.statuses(glass.station, session.begin.at):
        assert_valid(status)
    assert_valid(talk.idle_reading(outlet, session.begin))
    assert_valid(talk.begin(glass.station, session))
    assert_valid(talk.end(glass.station, session))


def test_what_was_sent_on_the_wire_names_the_session(make_glass):
    glass = make_glass(Version.V16).connect()
    outlet = glass.charge()
    glass.pass_time(120)
    outlet.stop(Why.LOCAL)
    glass.pass_time(60)
    assert len(glass.begins) == len(glass.ends) == 1
    assert glass.station.sessions[0].acknowledged
