"""What is asked of stations: ids, rules, and what answers mean."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

import csms.blocks  # noqa: F401  Registers what answers mean.
from csms.blocks.asking import ALLOCATED, changes, missing_ids, with_ids
from csms.blocks.secrets import masked
from csms.domain.asked import ListInstalled, PasswordSettled, ProfileInstalled, ProfilesCleared, ReservationMade
from csms.domain.unit import Reported, ReservationMoved
from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, actions

V16, V201 = Version.V16, Version.V201
TIME = "2026-05-04T12:00:00Z"
PROFILE_16 = {
    "chargingProfileId": 1, "stackLevel": 2, "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]},
}  # fmt: skip


def told(version, action, request, response) -> list:
    sent = json.dumps(request).encode()
    got = changes(version, action, sent, None if response is None else json.dumps(response).encode())
    return [change if not isinstance(change, (Reported, ReservationMoved)) else _shown(change) for change in got]


def _shown(change):
    return tuple(getattr(change, name) for name in sorted(change.__slots__))


@pytest.mark.parametrize("version", list(Version))
def test_every_place_of_an_id_of_ours_is_in_the_official_schema(version):
    for action, path in ((action, path) for action, paths in ALLOCATED[version].items() for path in paths):
        schema = schemas.official(version, f"{action}Request")
        place = schema
        for name in path:
            if "$ref" in place:
                place = schema["definitions"][place["$ref"].rpartition("/")[2]]
            place = place["properties"][name]
        assert place["type"] == "integer", action


def test_id_is_missed_where_it_is_left_out_and_nowhere_else():
    assert missing_ids(V201, "ReserveNow", {"idToken": {}}) == (("id",),)
    assert missing_ids(V201, "ReserveNow", {"id": 4}) == ()
    assert missing_ids(V201, "ReserveNow", {"id": None}) == (), "what was given is for the schema to judge"
    assert missing_ids(V16, "SetChargingProfile", {"csChargingProfiles": {}}) == ALLOCATED[V16]["SetChargingProfile"]
    assert missing_ids(V16, "SetChargingProfile", {}) == ()
    assert missing_ids(V16, "Reset", {}) == ()
    assert missing_ids(V16, "ReserveNow", [1]) == ()
    start = {"idToken": {}, "chargingProfile": {}}
    assert missing_ids(V201, "RequestStartTransaction", start) == (("remoteStartId",), ("chargingProfile", "id"))


def test_given_id_is_put_last_and_the_rest_keeps_its_order():
    assert list(with_ids({"z": 1, "a": 2}, [("id",)], 3)) == ["z", "a", "id"]
    assert with_ids({"p": {"q": 1}, "r": 2}, [("p", "id")], 3) == {"p": {"q": 1, "id": 3}, "r": 2}


@pytest.mark.parametrize(
    ("response", "status"),
    [({"status": "Accepted"}, "accepted"), ({"status": "Occupied"}, "occupied"), (None, "unknown")],
)
def test_reservation_is_remembered_with_what_was_said_to_it(response, status):
    request = {"connectorId": 2, "expiryDate": TIME, "idTag": "TAG", "reservationId": 5}
    expires = datetime.fromisoformat(TIME)
    assert told(V16, "ReserveNow", request, response) == [
        ReservationMade(reservation_id=5, status=status, token="TAG", expires_at=expires, evse_id=2, connector_id=1)
    ]
    request = {
        "id": 5, "expiryDateTime": TIME, "idToken": {"idToken": "TAG", "type": "ISO14443"}, "connectorType": "cCCS2",
        "groupIdToken": {"idToken": "G", "type": "Central"},
    }  # fmt: skip
    assert told(V201, "ReserveNow", request, response) == [
        ReservationMade(
            reservation_id=5, status=status, token="TAG", expires_at=expires, connector_type="cCCS2", group="G"
        )
    ]


def test_cancelled_reservation_is_over_only_when_the_station_says_so():
    for version in (V16, V201):
        assert told(version, "CancelReservation", {"reservationId": 5}, {"status": "Accepted"}) == [
            (5, None, "cancelled")
        ]
        assert told(version, "CancelReservation", {"reservationId": 5}, {"status": "Rejected"}) == []
        assert told(version, "CancelReservation", {"reservationId": 5}, None) == []


def test_accepted_profile_is_remembered_and_cleared():
    (made,) = told(
        V16, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE_16}, {"status": "Accepted"}
    )
    assert isinstance(made, ProfileInstalled)
    assert (made.profile_id, made.evse_id, made.purpose, made.stack_level) == (1, 1, "TxDefaultProfile", 2)
    assert (
        told(V16, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE_16}, {"status": "Rejected"})
        == []
    )
    assert told(V16, "ClearChargingProfile", {"id": 1}, {"status": "Accepted"}) == [ProfilesCleared(profile_id=1)]
    criteria = {"chargingProfileCriteria": {"evseId": 1, "stackLevel": 2}}
    assert told(V201, "ClearChargingProfile", criteria, {"status": "Accepted"}) == [
        ProfilesCleared(evse_id=1, stack_level=2)
    ]
    assert told(V201, "ClearChargingProfile", criteria, {"status": "Unknown"}) == []
    for version, request in ((V16, {"id": 1}), (V201, {"chargingProfileId": 1})):
        lost = told(version, "ClearChargingProfile", request, {"status": "Unknown"})
        assert lost == [ProfilesCleared(profile_id=1)], "what the station does not know by its id it has not"


def test_local_list_of_a_station_is_what_it_accepted():
    entry = {"idTag": "Tag", "idTagInfo": {"status": "Accepted"}}
    request = {"listVersion": 3, "updateType": "Differential", "localAuthorizationList": [entry, {"idTag": "B"}]}
    assert told(V16, "SendLocalList", request, {"status": "Accepted"}) == [
        ListInstalled(version=3, full=False, entries={"tag": entry, "b": None})
    ]
    assert told(V16, "SendLocalList", request, {"status": "VersionMismatch"}) == []


def test_configuration_is_remembered_but_for_passwords():
    response = {
        "configurationKey": [
            {"key": "HeartbeatInterval", "readonly": False, "value": "60"},
            {"key": "AuthorizationKey", "readonly": False, "value": "secret"},
        ]
    }
    values = [json.loads(data)["value"] for data, _, _ in told(V16, "GetConfiguration", {}, response)]
    assert values == ["60", None]
    changed = told(V16, "ChangeConfiguration", {"key": "AuthorizationKey", "value": "x"}, {"status": "Accepted"})
    assert changed == [PasswordSettled(taken=True)]
    assert len(told(V16, "ChangeConfiguration", {"key": "X", "value": "x"}, {"status": "RebootRequired"})) == 1
    assert told(V16, "ChangeConfiguration", {"key": "X", "value": "x"}, {"status": "Rejected"}) == []


def test_variables_are_remembered_as_read_and_as_taken_over():
    place = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "OfflineThreshold"}}
    result = place | {"attributeStatus": "Accepted", "attributeValue": "60"}
    ((data, key, kind),) = told(V201, "GetVariables", {"getVariableData": [place]}, {"getVariableResult": [result]})
    assert (kind, key, json.loads(data)["value"]) == ("value", "OCPPCommCtrlr/OfflineThreshold:Actual", "60")
    secret = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    request = {"setVariableData": [place | {"attributeValue": "5"}, secret | {"attributeValue": "password"}]}
    answers = [each | {"attributeStatus": "Accepted"} for each in (place, secret)]
    (data, _, _), settled = told(V201, "SetVariables", request, {"setVariableResult": answers})
    assert settled == PasswordSettled(taken=True)
    assert json.loads(data)["value"] == "5"
    answers[0]["attributeStatus"] = "RebootRequired"
    answers[1]["attributeStatus"] = "Rejected"
    assert told(V201, "SetVariables", request, {"setVariableResult": answers}) == [PasswordSettled(taken=False)]


def test_what_is_not_understood_changes_nothing():
    assert told(V16, "ReserveNow", {"connectorId": "x"}, {"status": "Accepted"}) == []
    assert told(V16, "ReserveNow", {}, {}) == []
    assert told(V16, "NobodyKnows", {}, {}) == []


@pytest.mark.parametrize(
    ("action", "request_"),
    [
        ("ChangeConfiguration", {"key": "authorizationKEY", "value": "top-secret"}),
        (
            "SetVariables",
            {"setVariableData": [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": "top-secret"}]},
        ),
        ("SetVariables", {"setVariableData": ["top-secret"]}),
        ("ChangeConfiguration", ["top-secret"]),
    ],
)
def test_passwords_are_masked_wherever_a_request_is_shown(action, request_):
    assert "top-secret" not in json.dumps(masked(action, request_))


def test_every_request_of_the_system_may_be_recorded():
    for version in (V16, V201):
        for name, action in actions(version).items():
            if action.from_csms:
                assert masked(name, {"a": 1}) is not None
