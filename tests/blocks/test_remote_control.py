"""Block F: the same wish in the words of each version."""

from __future__ import annotations

import msgspec
import pytest

from csms.blocks.remote_control import start_request, stop_request
from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, action_of


def payload(request: msgspec.Struct) -> dict:
    """What goes on the wire, judged by the official schema."""
    sent = msgspec.json.decode(msgspec.json.encode(request))
    assert schemas.violation(action_of(type(request)), sent) is None
    return sent


@pytest.mark.parametrize(
    ("version", "evse", "sent"),
    [
        (Version.V16, 2, {"idTag": "TAG", "connectorId": 2}),
        (Version.V16, None, {"idTag": "TAG"}),
        (Version.V201, 2, {"idToken": {"idToken": "TAG", "type": "ISO14443"}, "remoteStartId": 0, "evseId": 2}),
        (Version.V201, None, {"idToken": {"idToken": "TAG", "type": "ISO14443"}, "remoteStartId": 0}),
    ],
)
def test_start_is_asked_in_the_words_of_the_version(version, evse, sent):
    assert payload(start_request(version, token="TAG", token_type=None, evse_id=evse)) == sent


def test_type_of_the_token_is_told_where_it_is_known():
    request = start_request(Version.V201, token="T", token_type="Central", evse_id=None)
    assert payload(request)["idToken"]["type"] == "Central"


@pytest.mark.parametrize(
    ("version", "sent"), [(Version.V16, {"transactionId": 12}), (Version.V201, {"transactionId": "12"})]
)
def test_stop_names_the_stations_own_transaction(version, sent):
    assert payload(stop_request(version, "12")) == sent
