"""What becomes of a call that nobody answers."""

from __future__ import annotations

from csms.ocpp import v16


def test_a_link_without_answers_is_given_up_for_a_new_one(glass):
    glass.office.silent_about = {"Heartbeat"}
    glass.pass_time(300 + 31)
    assert glass.office.dials == 1 or glass.world.tally.unanswered

    glass.pass_time(60)
    assert glass.office.dials >= 2


def test_too_many_calls_waiting_are_dropped_not_raised(glass):
    glass.office.silent_about = set(glass.office.answers)
    for _ in range(300):
        glass.station.beat_now()

    assert len(glass.office.of("Heartbeat")) == 1


def test_without_a_connection_a_call_gets_no_response(make_glass):
    responses = []
    make_glass().station.call(v16.Heartbeat(), responses.append)

    assert responses == [None]


def test_an_answer_nobody_can_read_is_counted_and_is_no_response(glass):
    glass.office.answers["Heartbeat"] = {"currentTime": "never"}
    responses = []
    glass.station.call(glass.station.talk.heartbeat(), responses.append)
    glass.pass_time(1)

    assert responses == [None]
    assert glass.world.tally.errors == {"response not understood": 1}


def test_a_call_cut_off_with_its_connection_was_never_answered(glass):
    glass.office.silent_about = {"Heartbeat"}
    responses = []
    glass.station.call(glass.station.talk.heartbeat(), responses.append)
    glass.station.link.cut()

    assert responses == [None]
    assert glass.world.tally.unanswered == 1
