"""What people may see of messages: everything but secrets."""

from __future__ import annotations

from typing import Any

import pytest

from csms.blocks.discretion import discreet
from csms.blocks.secrets import MASK

KEY = "-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "secret"}),
        ("GetConfiguration", [3, "1", {"configurationKey": [{"key": "AuthorizationKey", "value": "secret"}]}]),
        ("SetVariables", {"setVariableData": [
            {"component": {"name": "S"}, "variable": {"name": "BasicAuthPassword"}, "attributeValue": "secret"}]}),
        ("GetVariables", [3, "1", {"getVariableResult": [
            {"variable": {"name": "BasicAuthPassword"}, "attributeValue": "secret"}]}]),
        ("NotifyReport", {"reportData": [
            {"variable": {"name": "BasicAuthPassword"}, "variableAttribute": [{"value": "secret"}]}]}),
        ("NotifyEvent", {"eventData": [{"variable": {"name": "BasicAuthPassword"}, "actualValue": "secret"}]}),
        ("SetNetworkProfile", {"connectionData": {"apn": {"apnPassword": "secret", "simPin": 1234},
                                                  "vpn": {"password": "secret", "key": "secret"}}}),
        ("GetDiagnostics", {"location": "ftp://user:secret@host/path"}),
        ("DataTransfer", {"data": "upload to ftp://user:secret@host/path"}),
        ("DataTransfer", {"data": KEY.replace("MHc", "secret")}),
        (None, [2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": "secret"}]),
        ("Authorize", {"idTag": "04secretA2B3C4"}),
        ("TransactionEvent", {"idToken": {"idToken": "04secretA2B3C4", "type": "ISO14443"}}),
        ("StartTransaction", [3, "1", {"idTagInfo": {"parentIdTag": "04secretA2B3C4", "status": "Accepted"}}]),
        ("Authorize", [3, "1", {"idTokenInfo": {"groupIdToken": {"idToken": "04secretA2B3C4", "type": "Local"}}}]),
        ("RequestStartTransaction", {"idToken": {"idToken": "secret", "type": "KeyCode"}}),
    ],
)  # fmt: skip
def test_secret_is_not_shown(action: str | None, payload: Any) -> None:
    assert "secret" not in repr(discreet(action, payload))
    assert "1234" not in repr(discreet(action, payload))


def test_tokens_can_still_be_told_apart() -> None:
    assert discreet("Authorize", {"idTag": "04A2B3C4"}) == {"idTag": "04…C4"}
    assert discreet("Authorize", {"idTag": "1234"}) == {"idTag": MASK}


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}),
        ("CertificateSigned", {"certificateChain": CERTIFICATE}),
        ("StatusNotification", {"connectorId": 1, "vendorId": "http://host/path"}),
        ("GetVariables", [3, "1", {"getVariableResult": [{"variable": {"name": "Model"}, "attributeValue": "M"}]}]),
        ("StatusNotification", "no object"),
        (None, None),
        ("NotifyEvent", {"variable": "odd", "value": 1}),
    ],
)
def test_everything_else_is(action: str | None, payload: Any) -> None:
    assert discreet(action, payload) == payload
