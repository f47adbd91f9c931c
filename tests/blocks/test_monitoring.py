"""Monitors that a station was given are known by the numbers it gave them."""

from __future__ import annotations

import json

import pytest

from csms.blocks.asking import wrong_with
from csms.blocks.dispatch import Policy
from csms.domain.asked import Forgotten, ProfilesCleared
from tests.blocks.conversation import Conversation
from tests.blocks.test_asking import V201, told

ABOUT = {"component": {"name": "Connector", "evse": {"id": 1}}, "variable": {"name": "Temperature"}}
UPPER = {**ABOUT, "value": 80.0, "type": "UpperThreshold", "severity": 3}
LOWER = {**ABOUT, "value": -20.0, "type": "LowerThreshold", "severity": 6, "transaction": True}


def result(data: dict, status: str, id: int | None) -> dict:
    named = {name: data[name] for name in ("component", "variable", "type", "severity")}
    return named | {"status": status} | ({} if id is None else {"id": id})


def test_answers_are_matched_by_what_they_are_about_not_by_their_order():
    request = {"setMonitoringData": [UPPER, LOWER]}
    response = {"setMonitoringResult": [result(LOWER, "Accepted", 8), result(UPPER, "Accepted", 9)]}
    low, high = told(V201, "SetVariableMonitoring", request, response)
    assert (low[1], json.loads(low[0])["monitor"]["value"]) == ("8", -20.0)
    assert (high[1], json.loads(high[0])["severity"]) == ("9", 3)


def test_refused_monitor_is_not_known():
    response = {"setMonitoringResult": [result(UPPER, "UnknownComponent", None)]}
    assert told(V201, "SetVariableMonitoring", {"setMonitoringData": [UPPER]}, response) == []
    assert told(V201, "SetVariableMonitoring", {"setMonitoringData": [UPPER]}, None) == []


def test_cleared_monitor_and_one_the_station_does_not_know_are_gone():
    results = [{"id": 1, "status": "Accepted"}, {"id": 2, "status": "NotFound"}, {"id": 3, "status": "Rejected"}]
    got = told(V201, "ClearVariableMonitoring", {"id": [1, 2, 3]}, {"clearMonitoringResult": results})
    assert [(key, data) for data, key, _ in got] == [("1", b"null"), ("2", b"null")]


def test_a_base_without_monitors_of_ours_forgets_them():
    for base, forgets in (("All", False), ("FactoryDefault", True), ("HardWiredOnly", True)):
        got = told(V201, "SetMonitoringBase", {"monitoringBase": base}, {"status": "Accepted"})
        assert (Forgotten("monitor") in got) is forgets
    assert told(V201, "SetMonitoringBase", {"monitoringBase": "All"}, {"status": "NotSupported"}) == []


def test_level_is_kept():
    ((data, key, kind),) = told(V201, "SetMonitoringLevel", {"severity": 4}, {"status": "Accepted"})
    assert (kind, key, json.loads(data)) == ("monitoring_level", "latest", {"severity": 4})


def test_T87_monitors_that_did_not_survive_a_reboot_are_forgotten():
    assert told(V201, "GetMonitoringReport", {"requestId": 1}, {"status": "EmptyResultSet"}) == [Forgotten("monitor")]
    narrowed = {"requestId": 1, "monitoringCriteria": ["DeltaMonitoring"]}
    assert told(V201, "GetMonitoringReport", narrowed, {"status": "EmptyResultSet"}) == []
    assert told(V201, "GetMonitoringReport", {"requestId": 1}, {"status": "NotSupported"}) == []


def test_T87_profiles_that_did_not_survive_a_reboot_are_forgotten():
    ours, none = {"requestId": 1, "chargingProfile": {"chargingLimitSource": ["CSO"]}}, {"status": "NoProfiles"}
    assert told(V201, "GetChargingProfiles", ours, none) == [ProfilesCleared()]
    every = {"requestId": 1, "chargingProfile": {}}
    assert told(V201, "GetChargingProfiles", every, none) == [ProfilesCleared(), Forgotten("charging_profile")]
    for narrowed in ({"stackLevel": 0}, {"chargingLimitSource": ["EMS"]}, {"chargingProfileId": [1]}):
        assert told(V201, "GetChargingProfiles", {"requestId": 1, "chargingProfile": narrowed}, none) == []


@pytest.mark.parametrize(
    ("reread", "reason", "asks"), [(True, "PowerUp", True), (True, "Triggered", False), (False, "PowerUp", False)]
)
async def test_T87_by_policy_they_are_asked_for_after_a_boot(reread, reason, asks):
    station = Conversation(V201)
    station.policy = Policy(reread_after_boot=reread)
    boot = {"reason": reason, "chargingStation": {"model": "M", "vendorName": "V"}}
    assert (await station.say("BootNotification", boot))["status"] == "Accepted"
    make = station.context.afterwards
    assert (make is not None) is asks
    if make is not None:
        for question in await make():
            assert wrong_with(V201, question.action, question.payload) is None
