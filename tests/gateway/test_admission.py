"""Admission: what a handshake request says, read before anything is upgraded."""

from __future__ import annotations

import base64

import pytest
from websockets.datastructures import Headers

from csms.gateway.admission import (
    Address,
    Refused,
    address_of,
    chosen_version,
    password_of,
    spellings,
    unauthorized,
)  # fmt: skip
from csms.ocpp.catalogue import Version

BOTH = (Version.V16, Version.V201)


@pytest.mark.parametrize(
    ("path", "operator", "identity"),
    [
        ("/ocpp/CS-1", "default", "CS-1"),
        ("/ocpp/CS-1/", "default", "CS-1"),
        ("/ocpp/CS-1?token=x", "default", "CS-1"),
        ("/ocpp/north/CS-1", "north", "CS-1"),
        ("/ocpp/north/CS-1/", "north", "CS-1"),
        ("/ocpp/RDAM%20123", "default", "RDAM 123"),
        ("ws://csms.example:9000/ocpp/CS-1?x=1", "default", "CS-1"),
        ("HTTP://csms.example/ocpp/north/CS-1", "north", "CS-1"),
        ("/ocpp/RDAM%7C123", "default", "RDAM|123"),
        ("/ocpp/RDAM|123", "default", "RDAM|123"),
        ("/ocpp/S%C3%A4ule", "default", "Säule"),
        ("/ocpp/%2541", "default", "%41"),
        ("/ocpp/" + "x" * 48, "default", "x" * 48),
        ("/ocpp/" + "%C3%A4" * 48, "default", "ä" * 48),
    ],
)
def test_T72_identity_is_the_last_segment_decoded_once(path, operator, identity):
    assert address_of(path) == Address(operator, identity)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/ocpp", 404),
        ("/ocpp/", 404),
        ("/ocppx/CS-1", 404),
        ("/other/CS-1", 404),
        ("/ocpp/a/b/c", 404),
        ("/ocpp/north//CS-1", 404),
        ("/ocpp/" + "x" * 49, 400),
        ("/ocpp/a%3Ab", 400),
        ("/ocpp/a:b", 400),
        ("/ocpp/a%2Fb/CS-1", 400),
        ("/ocpp/..", 400),
        ("/ocpp/.", 400),
        ("/ocpp/%2E%2E", 400),
        ("/ocpp/../CS-1", 400),
        ("/ocpp/%FF", 400),
        ("/ocpp/a%00b", 400),
        ("/ocpp/a%0Ab", 400),
        ("/ocpp/%20", 400),
        ("/ocpp/a%3Ab/CS-1", 400),
    ],
)
def test_T72_path_that_names_no_station_is_refused(path, status):
    with pytest.raises(Refused) as refused:
        address_of(path)
    assert refused.value.status == status


def test_base_path_is_a_setting():
    assert address_of("/a/b/CS-1", "/a/b") == Address("default", "CS-1")
    for base in ("", "/"):
        assert address_of("/CS-1", base) == Address("default", "CS-1")
        assert address_of("/acme/CS-1", base) == Address("acme", "CS-1")


def headers(*values: str) -> Headers:
    asked = Headers()
    for value in values:
        asked["Sec-WebSocket-Protocol"] = value
    return asked


@pytest.mark.parametrize(
    ("asked", "version", "spelling"),
    [
        (["ocpp1.6"], Version.V16, "ocpp1.6"),
        (["ocpp2.0.1, ocpp1.6"], Version.V201, "ocpp2.0.1"),
        (["ocpp1.6,ocpp2.0.1"], Version.V16, "ocpp1.6"),
        (["ocpp0.1,ocpp1.6"], Version.V16, "ocpp1.6"),
        (["ocpp2.1", "ocpp2.0.1"], Version.V201, "ocpp2.0.1"),
        (["OCPP1.6"], Version.V16, "OCPP1.6"),
        (["ocpp2.0,ocpp2.0.1"], Version.V201, "ocpp2.0.1"),
    ],
)
def test_T71_first_of_the_clients_list_that_we_speak(asked, version, spelling):
    assert chosen_version(headers(*asked), BOTH) == (version, spelling)


@pytest.mark.parametrize("asked", [[], [""], ["ocpp2.0"], ["ocpp2.1"], ["mqtt"], ["ocpp1.6j"]])
def test_T71_no_common_subprotocol_is_refused_with_what_we_speak(asked):
    with pytest.raises(Refused, match=r"ocpp1\.6, ocpp2\.0\.1") as refused:
        chosen_version(headers(*asked), BOTH)
    assert refused.value.status == 400


def basic(credentials: bytes, scheme: str = "Basic") -> Headers:
    return Headers({"Authorization": f"{scheme} " + base64.b64encode(credentials).decode()})


@pytest.mark.parametrize(
    "password", [b"secret", b"", b"with:colons:in it", bytes(range(256)), b"0123456789abcdef", "Schlüssel".encode()]
)
def test_T73_password_may_be_binary_or_contain_colons(password):
    assert password_of(basic(b"CS-1:" + password), "CS-1") == password


def test_scheme_is_read_in_any_case():
    assert password_of(basic(b"CS-1:x", "bAsIc"), "CS-1") == b"x"


def test_no_credentials_are_no_password():
    assert password_of(Headers(), "CS-1") is None


@pytest.mark.parametrize(
    "asked",
    [
        basic(b"CS-2:secret"),
        basic(b"cs-1:secret"),
        basic(b":secret"),
        basic(b"CS-1"),
        basic(b"CS-1:secret", "Bearer"),
        Headers({"Authorization": "Basic !!!"}),
        Headers({"Authorization": "Basic Ä"}),
        Headers({"Authorization": "Basic"}),
        Headers({"Authorization": ""}),
    ],
)
def test_credentials_that_are_wrong_in_form_or_name_are_refused(asked):
    with pytest.raises(Refused) as refused:
        password_of(asked, "CS-1")
    assert refused.value.status == 401


def test_S1_client_is_never_told_what_was_wrong():
    told = {unauthorized(reason).text for reason in ("wrong password", "no credentials")}
    assert len(told) == 1
    assert "WWW-Authenticate" in unauthorized("x").headers


@pytest.mark.parametrize("sent", [b"00aabbccddeeff11", b"00AABBCCDDEEFF11", bytes.fromhex("00aabbccddeeff11")])
@pytest.mark.parametrize("kept", [b"00aabbccddeeff11", b"00AABBCCDDEEFF11", bytes.fromhex("00aabbccddeeff11")])
def test_T73_key_in_hex_is_the_same_in_any_case_and_as_bytes(sent, kept):
    assert kept in spellings(sent)


def test_T73_password_that_is_no_hex_is_compared_with_its_case():
    assert b"PASSWORD" not in spellings(b"password")
