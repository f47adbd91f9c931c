"""What stations were told to be is known once they took it on."""

from __future__ import annotations

import json

import pytest

from tests.blocks.test_asking import V16, V201, told


@pytest.mark.parametrize(
    ("version", "request_", "place"),
    [
        (V16, {"connectorId": 0, "type": "Inoperative"}, "station"),
        (V16, {"connectorId": 2, "type": "Operative"}, "2.1"),
        (V201, {"operationalStatus": "Operative"}, "station"),
        (V201, {"operationalStatus": "Operative", "evse": {"id": 3}}, "3"),
        (V201, {"operationalStatus": "Operative", "evse": {"id": 3, "connectorId": 1}}, "3.1"),
    ],
)
def test_availability_is_kept_by_place(version, request_, place):
    ((data, key, kind),) = told(version, "ChangeAvailability", request_, {"status": "Scheduled"})
    assert (kind, key, json.loads(data)["status"]) == ("availability", place, "Scheduled")
    assert told(version, "ChangeAvailability", request_, {"status": "Rejected"}) == []


def test_network_profile_is_kept_without_its_passwords():
    data = {
        "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "wss://a.example", "messageTimeout": 30,
        "securityProfile": 1, "ocppInterface": "Wireless0",
        "apn": {"apn": "a", "apnAuthentication": "PAP", "apnPassword": "hidden-1", "simPin": 7531},
        "vpn": {"server": "v", "user": "u", "password": "hidden-2", "key": "hidden-3", "type": "IKEv2"},
    }  # fmt: skip
    request = {"configurationSlot": 1, "connectionData": data}
    ((kept, key, kind),) = told(V201, "SetNetworkProfile", request, {"status": "Accepted"})
    assert (kind, key, json.loads(kept)["ocppCsmsUrl"]) == ("network_profile", "1", "wss://a.example")
    assert b"hidden" not in kept and b"7531" not in kept
    assert told(V201, "SetNetworkProfile", request, {"status": "Failed"}) == []
