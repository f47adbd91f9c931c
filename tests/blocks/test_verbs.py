"""Neutral words become the questions of the station's version; rules that they would break are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.blocks import charging_verbs, device_verbs, setting_verbs, token_verbs
from csms.blocks.charging_verbs import Profile, start_profile, units_of
from csms.blocks.verbs import Charging, Facts, Installed, Unsayable, Verb
from csms.domain.tokens import Token
from csms.ocpp.catalogue import Version

V16, V201, V21 = Version.V16, Version.V201, Version.V21
NOW = datetime(2026, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = datetime(2026, 5, 5, 14, 0, tzinfo=UTC)
AT_NOW, AT_LATER = "2026-05-04T12:00:00Z", "2026-05-05T14:00:00Z"

VERBS: dict[str, Verb[Any]] = {
    verb.name: verb
    for module in (device_verbs, setting_verbs, charging_verbs, token_verbs)
    for verb in module.VERBS
}  # fmt: skip
PERIODS = [charging_verbs.Period(0, 16.0)]
TOKENS = {
    "Tag": Token("TAG", "ISO14443", group="G"), "tag": Token("TAG", "ISO14443", group="G"),
    "bad": Token("BAD", None, "blocked"), "old": Token("OLD", "Central", expires_at=NOW - timedelta(days=1)),
    **{f"T{number}": Token(f"T{number}") for number in range(7)},
}  # fmt: skip


def facts(**known: Any) -> Facts:
    return Facts(NOW, **{"tokens": TOKENS, **known})


def said(name: str, version: Version, known: Facts | None = None, **words: Any) -> list[tuple[str, dict[str, Any]]]:
    verb = VERBS[name]
    return [(each.action, each.payload) for each in verb.questions(version, verb.ask(**words), known or facts())]


def refused(name: str, version: Version, *, of: Facts | None = None, **words: Any) -> str:
    with pytest.raises(Unsayable) as error:
        said(name, version, of, **words)
    return error.value.detail


TAG_201 = {"idToken": "TAG", "type": "ISO14443"}


@pytest.mark.parametrize(
    ("name", "version", "words", "expected"),
    [
        ("reset", V16, {"type": "hard"}, ("Reset", {"type": "Hard"})),
        ("reset", V201, {"evse_id": 2}, ("Reset", {"type": "OnIdle", "evseId": 2})),
        ("reset", V21, {"type": "hard"}, ("Reset", {"type": "Immediate"})),
        ("unlock", V16, {"evse_id": 99}, ("UnlockConnector", {"connectorId": 99})),
        ("unlock", V201, {"evse_id": 99}, ("UnlockConnector", {"evseId": 99, "connectorId": 1})),
        ("availability", V16, {"operative": False}, ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})),
        ("availability", V201, {"operative": True, "evse_id": 1, "connector_id": 2},
         ("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1, "connectorId": 2}})),
        ("trigger", V16, {"message": "meter_values", "evse_id": 2},
         ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2})),
        ("trigger", V16, {"message": "boot"}, ("TriggerMessage", {"requestedMessage": "BootNotification"})),
        ("trigger", V16, {"message": "log_status"},
         ("ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification"})),
        ("trigger", V201, {"message": "transaction", "evse_id": 1},
         ("TriggerMessage", {"requestedMessage": "TransactionEvent", "evse": {"id": 1}})),
        ("report", V16, {}, ("GetConfiguration", {})),
        ("report", V201, {"base": "summary"}, ("GetBaseReport", {"reportBase": "SummaryInventory"})),
        ("clear-cache", V16, {}, ("ClearCache", {})),
        ("clear-cache", V201, {}, ("ClearCache", {})),
        ("firmware", V16, {"location": "https://a", "retries": 3},
         ("UpdateFirmware", {"location": "https://a", "retrieveDate": AT_NOW, "retries": 3})),
        ("firmware", V16, {"location": "https://a", "certificate": "C", "signature": "S", "install_at": LATER},
         ("SignedUpdateFirmware", {"firmware": {
             "location": "https://a", "retrieveDateTime": AT_NOW, "installDateTime": AT_LATER,
             "signingCertificate": "C", "signature": "S"}})),
        ("firmware", V201, {"location": "https://a", "retrieve_at": LATER},
         ("UpdateFirmware", {"firmware": {"location": "https://a", "retrieveDateTime": AT_LATER}})),
        ("logs", V16, {"location": "https://a", "oldest_at": NOW},
         ("GetDiagnostics", {"location": "https://a", "startTime": AT_NOW})),
        ("logs", V16, {"location": "https://a", "kind": "security"},
         ("GetLog", {"log": {"remoteLocation": "https://a"}, "logType": "SecurityLog"})),
        ("logs", V201, {"location": "https://a", "latest_at": LATER},
         ("GetLog", {"log": {"remoteLocation": "https://a", "latestTimestamp": AT_LATER}, "logType": "DiagnosticsLog"})),
        ("configuration/read", V16, {}, ("GetConfiguration", {})),
        ("configuration", V16, {"values": {"A": "1"}}, ("ChangeConfiguration", {"key": "A", "value": "1"})),
        ("charging-profiles/read", V201, {"evse_id": 1, "purpose": "tx_default"},
         ("GetChargingProfiles", {"evseId": 1, "chargingProfile": {"chargingProfilePurpose": "TxDefaultProfile"}})),
        ("charging-profiles/clear", V16, {"evse_id": 0, "purpose": "station_max"},
         ("ClearChargingProfile", {"connectorId": 0, "chargingProfilePurpose": "ChargePointMaxProfile"})),
        ("charging-profiles/clear", V201, {"profile_id": 7}, ("ClearChargingProfile", {"chargingProfileId": 7})),
        ("charging-profiles/clear", V201, {"stack_level": 2},
         ("ClearChargingProfile", {"chargingProfileCriteria": {"stackLevel": 2}})),
        ("composite-schedule", V16, {"evse_id": 1, "duration": 60},
         ("GetCompositeSchedule", {"connectorId": 1, "duration": 60})),
        ("composite-schedule", V201, {"unit": "W"},
         ("GetCompositeSchedule", {"evseId": 0, "duration": 86400, "chargingRateUnit": "W"})),
        ("reservations", V16, {"token": "Tag", "expires_at": LATER, "evse_id": 1},
         ("ReserveNow", {"connectorId": 1, "expiryDate": AT_LATER, "idTag": "TAG", "parentIdTag": "G"})),
        ("reservations", V16, {"token": "nobody's", "expires_at": LATER},
         ("ReserveNow", {"connectorId": 0, "expiryDate": AT_LATER, "idTag": "nobody's"})),
        ("reservations", V201, {"token": "Tag", "expires_at": LATER, "connector_type": "cCCS2"},
         ("ReserveNow", {"expiryDateTime": AT_LATER, "idToken": TAG_201, "connectorType": "cCCS2",
                         "groupIdToken": {"idToken": "G", "type": "Central"}})),
        ("reservations/cancel", V16, {"reservation_id": 4}, ("CancelReservation", {"reservationId": 4})),
        ("reservations/cancel", V201, {"reservation_id": 4}, ("CancelReservation", {"reservationId": 4})),
        ("local-list", V16, {"tokens": []}, ("SendLocalList", {"updateType": "Full"})),
        ("local-list", V201, {"tokens": []}, ("SendLocalList", {"updateType": "Full"})),
        ("local-list/version", V16, {}, ("GetLocalListVersion", {})),
        ("local-list/version", V201, {}, ("GetLocalListVersion", {})),
    ],
)  # fmt: skip
def test_words_become_the_question_of_the_version(name, version, words, expected):
    assert said(name, version, **words) == [expected]


@pytest.mark.parametrize(
    ("name", "version", "words", "hint"),
    [
        ("reset", V16, {"evse_id": 1}, "as a whole"),
        ("unlock", V16, {"evse_id": 1, "connector_id": 2}, "one connector"),
        ("availability", V201, {"operative": True, "connector_id": 1}, "evse_id"),
        ("availability", V16, {"operative": True, "connector_id": 1}, "evse_id"),
        ("trigger", V16, {"message": "transaction"}, "It can: boot"),
        ("trigger", V201, {"message": "status", "evse_id": 1}, "connector_id"),
        ("firmware", V16, {"location": "https://a", "install_at": LATER}, "not signed"),
        ("firmware", V201, {"location": "https://a", "certificate": "C"}, "both"),
        ("firmware", V201, {"location": "x" * 600}, "would not understand"),
        ("logs", V201, {"location": "https://a", "oldest_at": NOW.replace(tzinfo=None)}, "time zone"),
        ("reservations", V201, {"token": "Tag", "expires_at": NOW}, "has passed"),
        ("reservations", V16, {"token": "Tag", "expires_at": LATER, "connector_type": "cCCS2"}, "name the EVSE"),
        ("reservations", V16, {"token": "t" * 21, "expires_at": LATER}, "would not understand"),
        ("configuration/read", V201, {}, "/variables"),
        ("variables/read", V16, {"variables": []}, "/configuration"),
        ("variables/read", V201, {"variables": []}, "at least one"),
        ("configuration", V16, {"values": {}}, "at least one"),
        ("charging-profiles/clear", V16, {}, "Say which"),
        ("charging-profiles/read", V16, {}, "GET /charging-profiles"),
        ("local-list/change", V16, {}, "at least one"),
        ("local-list/change", V201, {"put": ["Tag"], "remove": ["tag"]}, "choose"),
        ("local-list", V16, {"tokens": ["nobody's"]}, "Add them first"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_told_with_what_to_do(name, version, words, hint):
    assert hint in refused(name, version, **words)


# T76 … T81


def variable(name: str, value: str | None = None, **more: Any) -> Any:
    if value is None:
        return setting_verbs.Variable("Ctrlr", name, **more)
    return setting_verbs.Written("Ctrlr", name, value=value, **more)


def sizes(found: list[tuple[str, dict[str, Any]]], *path: str) -> list[int]:
    return [len(payload[path[0]]) for _, payload in found]


def test_T76_items_are_split_by_what_the_station_declared():
    keys = [f"K{number}" for number in range(7)]
    limits = facts(limits={"configuration_keys": "3"})
    assert sizes(said("configuration/read", V16, limits, keys=keys), "key") == [3, 3, 1]
    assert sizes(said("configuration/read", V16, keys=keys), "key") == [7], "nothing is known"
    assert sizes(said("configuration/read", V16, facts(limits={"configuration_keys": "?"}), keys=keys), "key") == [7]

    named = [variable(key) for key in keys]
    assert sizes(said("variables/read", V201, facts(limits={"variables_read": "4"}), variables=named), "getVariableData") == [
        4, 3,
    ]  # fmt: skip
    given = [variable(key, "1") for key in keys]
    written = said("variables", V201, facts(limits={"variables_written": "1"}), variables=given)
    assert sizes(written, "setVariableData") == [1] * 7

    tokens = [f"T{number}" for number in range(7)]
    for version in (V16, V201):
        found = said("local-list", version, facts(limits={"list_entries_a_message": "3"}), tokens=tokens)
        assert sizes(found, "localAuthorizationList") == [3, 3, 1]
        assert [payload["updateType"] for _, payload in found] == ["Full", "Differential", "Differential"]
        changed = said("local-list/change", version, facts(limits={"list_entries_a_message": "5"}), remove=tokens)
        assert sizes(changed, "localAuthorizationList") == [5, 2]
    assert "at most 6" in refused("local-list", V16, of=facts(limits={"list_entries": "6"}), tokens=tokens)
    long = [charging_verbs.Period(start, 6.0) for start in range(4)]
    for version in (V16, V201):
        of = facts(limits={"schedule_periods": "3"})
        assert "at most 3 periods" in refused("charging-profiles", version, of=of, purpose="tx_default", periods=long)


def test_T77_no_variable_stands_twice_in_one_message():
    twice = [
        variable("A", "1"),
        variable("a", "1"),
        variable("A", "1", attribute="Actual"),
        variable("A", "2", evse_id=1),
    ]
    ((_, payload),) = said("variables", V201, variables=twice)
    assert [data["attributeValue"] for data in payload["setVariableData"]] == ["1", "2"]
    assert "B05.FR.13" in refused("variables", V201, variables=[variable("A", "1"), variable("a", "2")])
    assert sizes(said("variables/read", V201, variables=[variable("A"), variable("a")]), "getVariableData") == [1]
    assert said("configuration", V16, values={"A": "1", "a": "1"}) == [
        ("ChangeConfiguration", {"key": "A", "value": "1"})
    ]
    assert "two values" in refused("configuration", V16, values={"A": "1", "a": "2"})


def installed(
    id: int, *, evse: int = 1, purpose: str = "TxDefaultProfile", level: int = 0, **profile: Any
) -> Installed:
    return Installed(id, evse, purpose, level, profile)


def test_T78_profiles_that_would_overlap_are_refused():
    default = {"purpose": "tx_default", "periods": PERIODS, "evse_id": 1}
    there = facts(profiles=[installed(31)])
    for version in (V16, V201):
        assert "Profile 31 has the same" in refused("charging-profiles", version, of=there, **default)
        assert said("charging-profiles", version, there, **default | {"profile_id": 31})
        assert said("charging-profiles", version, there, **default | {"stack_level": 1})
        assert said("charging-profiles", version, there, **default | {"evse_id": 2})
        for other in (installed(31, validTo=AT_NOW), installed(31, validFrom="2026-05-06T00:00:00Z")):
            then = default | {"valid_from": NOW, "valid_to": LATER}
            assert said("charging-profiles", version, facts(profiles=[other]), **then)
            assert "Profile 31" in refused("charging-profiles", version, of=facts(profiles=[other]), **default)
        of_an_old_session = installed(31, purpose="TxProfile", transactionId="9")
        session = Charging(1, "10", 1, True)
        tx = {"purpose": "tx", "session_id": 1, "periods": PERIODS}
        assert said("charging-profiles", version, facts(profiles=[of_an_old_session], session=session), **tx)
    everywhere = facts(profiles=[installed(31, evse=0)])
    assert "Profile 31" in refused("charging-profiles", V201, of=everywhere, **default), "K01.FR.53"
    assert said("charging-profiles", V16, everywhere, **default), "1.6: the connector's own comes first"


def test_T79_profile_of_a_session_names_its_transaction_and_only_that_does():
    session = Charging(5, "42", 2, True)
    ((_, sent),) = said("charging-profiles", V16, facts(session=session), purpose="tx", periods=PERIODS, session_id=5)
    assert (sent["connectorId"], sent["csChargingProfiles"]["transactionId"]) == (2, 42)
    assert "chargingProfileId" not in sent["csChargingProfiles"], "it is given when the question is recorded"
    ((_, sent),) = said("charging-profiles", V201, facts(session=session), purpose="tx", periods=PERIODS, session_id=5)
    assert (sent["evseId"], sent["chargingProfile"]["transactionId"]) == (2, "42")
    over = facts(session=Charging(5, "42", 2, False))
    for version in (V16, V201):
        assert "session_id" in refused("charging-profiles", version, purpose="tx", periods=PERIODS)
        assert "goes on" in refused("charging-profiles", version, of=over, purpose="tx", periods=PERIODS, session_id=5)
        assert "Only a profile" in refused(
            "charging-profiles", version, of=facts(session=session), purpose="tx_default", periods=PERIODS, session_id=5
        )
        assert start_profile(version, Profile("tx", PERIODS), facts()).transaction_id is None
        for wrong in (Profile("tx", PERIODS, session_id=5), Profile("tx_default", PERIODS)):
            with pytest.raises(Unsayable, match="yet to begin"):
                start_profile(version, wrong, facts())


@pytest.mark.parametrize(
    ("declared", "units"),
    [
        ("Current,Power", "AW"), ("Power", "W"), ("power ", "W"), ("Current", "A"), ("A", "A"), ("W", "W"), ("A,W", "AW"),
        ("Amp;Watt", "AW"), ("amps", "A"), ("", ""), (None, ""), ("whatever", ""),
    ],
)  # fmt: skip
def test_T80_units_are_understood_in_the_forms_they_come_in(declared, units):
    assert units_of(declared) == frozenset(units)


def test_T80_amperes_are_not_sent_to_a_station_that_takes_watts_only():
    of = facts(limits={"rate_units": "Power"})
    for version in (V16, V201):
        assert "in W only" in refused("charging-profiles", version, of=of, purpose="tx_default", periods=PERIODS)
        assert said("charging-profiles", version, of, purpose="tx_default", periods=PERIODS, unit="W")


def test_T81_entries_carry_what_is_decided_about_them_and_the_version_is_given_later():
    ((_, sent),) = said("local-list", V16, tokens=["Tag", "bad", "old", "tag"])
    assert sent == {
        "updateType": "Full",
        "localAuthorizationList": [
            {"idTag": "TAG", "idTagInfo": {"status": "Accepted", "parentIdTag": "G"}},
            {"idTag": "BAD", "idTagInfo": {"status": "Blocked"}},
            {"idTag": "OLD", "idTagInfo": {"status": "Expired", "expiryDate": "2026-05-03T12:00:00Z"}},
        ],
    }
    ((_, sent),) = said("local-list/change", V201, put=["bad"], remove=["Tag"])
    assert sent == {
        "updateType": "Differential",
        "localAuthorizationList": [
            {"idToken": {"idToken": "BAD", "type": "ISO14443"}, "idTokenInfo": {"status": "Blocked"}},
            {"idToken": TAG_201},
        ],
    }


def test_T82_no_place_is_refused_by_us():
    for version in (V16, V201):
        assert said("unlock", version, evse_id=0)
        assert said("availability", version, operative=True, evse_id=99)


def test_T88_maximum_of_a_station_is_absolute_and_begins():
    words = {"purpose": "station_max", "periods": PERIODS, "unit": "W"}
    ((_, sent),) = said("charging-profiles", V16, **words)
    profile = sent["csChargingProfiles"]
    assert (sent["connectorId"], profile["chargingProfilePurpose"]) == (0, "ChargePointMaxProfile")
    assert (profile["chargingProfileKind"], profile["chargingSchedule"]["startSchedule"]) == ("Absolute", AT_NOW)
    ((_, sent),) = said("charging-profiles", V201, **words, start_at=LATER)
    profile = sent["chargingProfile"]
    assert (sent["evseId"], profile["chargingProfileKind"]) == (0, "Absolute")
    assert profile["chargingSchedule"][0]["startSchedule"] == AT_LATER
    for version in (V16, V201):
        assert "relative to nothing" in refused("charging-profiles", version, **words, kind="relative")
        assert "whole station" in refused("charging-profiles", version, **words, evse_id=1)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ({"kind": "relative", "start_at": LATER}, "leave start_at out"),
        ({"kind": "recurring"}, "daily"),
        ({"recurrency": "daily", "kind": "absolute"}, "daily"),
        ({"valid_from": LATER, "valid_to": LATER}, "after valid_from"),
        ({"periods": []}, "first with start 0"),
        ({"periods": [charging_verbs.Period(5, 1.0)]}, "first with start 0"),
        ({"periods": [charging_verbs.Period(0, 1.0), charging_verbs.Period(0, 2.0)]}, "in the order"),
        ({"periods": [charging_verbs.Period(0, -1.0)]}, "not negative"),
        ({"profile_id": 0}, "at least 1"),
    ],
)
def test_profile_that_breaks_a_rule_is_refused(words, hint):
    for version in (V16, V201):
        assert hint in refused("charging-profiles", version, **{"purpose": "tx_default", "periods": PERIODS, **words})


def test_every_verb_has_words_for_people():
    for verb in VERBS.values():
        assert verb.ask.__pydantic_config__ == {"extra": "forbid"}
