"""The certificates of a station are named by its own words for them."""

from __future__ import annotations

import json

from csms.domain.asked import Forgotten
from csms.ocpp.catalogue import Version
from tests.blocks.test_asking import V16, V201, told

OWN_HASH = {  # Of an algorithm that nobody here would choose, in a spelling that nobody here would write.
    "hashAlgorithm": "SHA512", "issuerNameHash": "AbCd", "issuerKeyHash": "0123", "serialNumber": "00FF",
}  # fmt: skip
KEY = "00ff/0123/abcd/sha512"


def held(version: Version, request: dict, response: dict) -> list:
    return told(version, "GetInstalledCertificateIds", request, response)


def test_T86_hash_data_of_the_station_is_kept_verbatim():
    request = {"certificateType": "CentralSystemRootCertificate"}
    forgotten, (data, key, kind) = held(V16, request, {"status": "Accepted", "certificateHashData": [OWN_HASH]})
    assert forgotten == Forgotten("certificate", suffix="|CentralSystemRootCertificate")
    assert (kind, key) == ("certificate", f"{KEY}|CentralSystemRootCertificate")
    assert json.loads(data)["certificateHashData"] == OWN_HASH

    chain = {"certificateType": "V2GCertificateChain", "certificateHashData": OWN_HASH,
             "childCertificateHashData": [OWN_HASH | {"serialNumber": "01"}]}  # fmt: skip
    forgotten, (data, key, _) = held(V201, {}, {"status": "Accepted", "certificateHashDataChain": [chain]})
    assert forgotten == Forgotten("certificate")
    assert json.loads(data) == chain
    assert key == f"{KEY}|V2GCertificateChain"


def test_a_station_that_holds_none_of_a_type_is_believed():
    wanted = {"certificateType": ["MORootCertificate", "V2GRootCertificate"]}
    assert held(V201, wanted, {"status": "NotFound"}) == [
        Forgotten("certificate", suffix="|MORootCertificate"), Forgotten("certificate", suffix="|V2GRootCertificate"),
    ]  # fmt: skip


def test_deleted_certificate_is_forgotten_and_one_that_could_not_be_is_not():
    for version in (V16, V201):
        request = {"certificateHashData": OWN_HASH}
        gone = [Forgotten("certificate", prefix=f"{KEY}|")]
        assert told(version, "DeleteCertificate", request, {"status": "Accepted"}) == gone
        assert told(version, "DeleteCertificate", request, {"status": "NotFound"}) == gone
        assert told(version, "DeleteCertificate", request, {"status": "Failed"}) == []
        assert told(version, "DeleteCertificate", request, None) == []
