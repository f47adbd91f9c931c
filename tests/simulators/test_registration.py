"""A station boots until it is accepted, says nothing of its own before that, and then sends heartbeats."""

from __future__ import annotations

import pytest

from csms.ocpp.version import Version

V16, V201 = Version.V16, Version.V201


def test_it_boots_and_then_tells_every_status(make_glass):
    office = make_glass(V16, outlets=2).connect().office
    assert office.actions == ["BootNotification"] + ["StatusNotification"] * 3
    assert [status["connectorId"] for status in office.of("StatusNotification")] == [0, 1, 2]

    office = make_glass(V201, outlets=2).connect().office
    assert office.actions == ["BootNotification"] + ["StatusNotification"] * 2
    assert [(s["evseId"], s["connectorId"]) for s in office.of("StatusNotification")] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
@pytest.mark.parametrize("version", [V16, V201])
def test_it_obeys_when_told_to_wait(make_glass, version, status):
    glass = make_glass(version)
    accepted = glass.office.answers["BootNotification"]
    glass.office.answers["BootNotification"] = accepted | {"status": status, "interval": 90}
    glass.connect()
    glass.pass_time(89)
    assert glass.office.actions == ["BootNotification"]

    glass.office.answers["BootNotification"] = accepted
    glass.pass_time(2)
    assert glass.office.actions[:3] == ["BootNotification", "BootNotification", "StatusNotification"]


def test_it_asks_again_when_the_boot_gets_no_answer(glass, make_glass):
    fresh = make_glass(glass.station.plan.version)
    fresh.office.silent_about = {"BootNotification"}
    fresh.connect()
    fresh.pass_time(29)
    assert fresh.office.dials == 1

    fresh.office.silent_about = set()
    fresh.pass_time(60)
    assert fresh.station.registration.accepted


def test_heartbeats_come_at_the_interval_of_the_server(glass):
    glass.pass_time(3 * 300)

    assert 2 <= len(glass.office.of("Heartbeat")) <= 4


def test_a_server_that_forgot_its_registration_gets_a_new_boot(make_glass):
    glass = make_glass(V201).connect()
    glass.office.refuses = {"Heartbeat": "SecurityError"}
    glass.pass_time(301)

    assert glass.office.actions.count("BootNotification") >= 2


@pytest.mark.parametrize("version", [V16, V201])
@pytest.mark.parametrize(
    ("status", "heard"),
    [("Pending", ["Heartbeat", "StatusNotification", "MeterValues"]), ("Rejected", [])],
)
def test_while_pending_it_says_what_it_is_asked_for_and_nothing_else(make_glass, version, status, heard):
    glass = make_glass(version)
    answer = glass.office.answers["BootNotification"]
    glass.office.answers["BootNotification"] = answer | {"status": status, "interval": 900}
    glass.connect()
    for what in ("Heartbeat", "StatusNotification", "MeterValues"):
        glass.office.ask("TriggerMessage", requestedMessage=what)
    glass.pass_time(600)

    assert glass.office.actions == ["BootNotification", *heard]
