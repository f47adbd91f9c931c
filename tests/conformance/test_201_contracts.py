"""OCPP 2.0.1 cases about contracts (ISO 15118): C_50 to C_52, M_24, M_26, M_28."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from csms.domain.certificates import hashes_of
from tests import pki
from tests.conformance.conftest import System
from tests.conformance.operator import Operator
from tests.conformance.station import Payload, Station
from tests.pki import DAY, Authority
from tests.responder import Status, ocsp_access

_numbers = itertools.count(1)


class Contract:
    """A contract whose certificate is signed by a sub-authority of the contract root."""

    def __init__(self, system: System, **options: Any):
        self.emaid = f"DEACM{next(_numbers):08d}X"
        self.root = options.pop("root", system.contracts)
        signer = options.pop("signer", self.root)
        access = ocsp_access(system.responder.url)
        common = options.pop("common", self.emaid)
        self.certificate = signer.sign(pki.name(common), pki.ec_key().public_key(), access=access, **options)
        self.pem = pki.pem(self.certificate, *signer.chain).decode()

    def hashes(self, issuer: x509.Certificate | None = None) -> Payload:
        found = hashes_of(self.certificate, issuer or self.root.certificate)
        return {
            "hashAlgorithm": found.algorithm, "issuerNameHash": found.issuer_name, "issuerKeyHash": found.issuer_key,
            "serialNumber": found.serial, "responderURL": found.url,
        }  # fmt: skip


async def known(operator: Operator, contract: Contract) -> Contract:
    await operator.put_token(contract.emaid, type="eMAID")
    return contract


async def authorized(station: Station, contract: Contract, **shown: Any) -> tuple[str, str]:
    asked = {"idToken": {"idToken": contract.emaid, "type": "eMAID"}} | shown
    answer = await station.call("Authorize", asked)
    return answer["idTokenInfo"]["status"], answer["certificateStatus"]


async def test_TC_C_50_contract_that_the_station_checked(system, v201, operator):
    contract = await known(operator, Contract(system))
    before = len(system.responder.asked)
    shown = {"iso15118CertificateHashData": [contract.hashes()]}
    assert await authorized(v201, contract, **shown) == ("Accepted", "Accepted")
    (asked,) = system.responder.asked[before:]
    assert ocsp.load_der_ocsp_request(asked).serial_number == contract.certificate.serial_number


async def test_TC_C_51_contract_that_was_revoked(system, v201, operator):
    contract = await known(operator, Contract(system))
    system.responder.said[contract.certificate.serial_number] = Status.REVOKED
    status, certificate = await authorized(v201, contract, iso15118CertificateHashData=[contract.hashes()])
    assert status == "Invalid" and certificate == "CertificateRevoked"


async def test_TC_C_52_contract_that_is_checked_here(system, v201, operator):
    sub = Authority("MO sub", system.contracts, access=ocsp_access(system.responder.url))
    # The sub-authority's own responder answers for what it signed: the same site, in the name of its root.
    contract = await known(operator, Contract(system))
    before = len(system.responder.asked)
    assert await authorized(v201, contract, certificate=contract.pem) == ("Accepted", "Accepted")
    (asked,) = system.responder.asked[before:]
    assert ocsp.load_der_ocsp_request(asked).serial_number == contract.certificate.serial_number
    below = await known(operator, Contract(system, signer=sub))
    system.responder.said[sub.certificate.serial_number] = Status.REVOKED
    assert (await authorized(v201, below, certificate=below.pem))[0] == "Invalid"


@pytest.mark.parametrize(
    ("options", "certificate"),
    [
        ({"ends": -DAY / 2}, "CertificateExpired"), ({"starts": DAY}, "CertificateExpired"),
        ({"root": Authority("MO root")}, "SignatureError"), ({"root": Authority("Other")}, "CertChainError"),
        ({"common": "DEACM99999999X"}, "CertChainError"),
    ],
    ids=["expired", "not yet", "name of the root", "foreign", "another contract"],
)  # fmt: skip
async def test_contract_that_does_not_hold_authorizes_nothing(system, v201, operator, options, certificate):
    contract = await known(operator, Contract(system, **options))
    assert await authorized(v201, contract, certificate=contract.pem) == ("Invalid", certificate)


async def test_good_certificate_does_not_make_a_contract_known(system, v201):
    contract = Contract(system)
    shown = {"iso15118CertificateHashData": [contract.hashes()]}
    assert await authorized(v201, contract, **shown) == ("Unknown", "Accepted")


async def test_responder_that_does_not_know_or_answer_authorizes_nothing(system, v201, operator):
    contract = await known(operator, Contract(system))
    system.responder.said[contract.certificate.serial_number] = Status.UNKNOWN
    shown = {"iso15118CertificateHashData": [contract.hashes()]}
    assert await authorized(v201, contract, **shown) == ("Invalid", "CertChainError")
    away = {"iso15118CertificateHashData": [contract.hashes() | {"responderURL": "http://127.0.0.1:9/"}]}
    assert await authorized(v201, contract, **away) == ("Invalid", "NoCertificateAvailable")


async def test_TC_M_24_ocsp_status(system, v201):
    contract = Contract(system)
    answer = await v201.call("GetCertificateStatus", {"ocspRequestData": contract.hashes()})
    assert answer["status"] == "Accepted"
    found = ocsp.load_der_ocsp_response(base64.b64decode(answer["ocspResult"], validate=True))
    assert found.certificate_status is Status.GOOD
    assert found.serial_number == contract.certificate.serial_number
    away = contract.hashes() | {"responderURL": "http://127.0.0.1:9/"}
    assert (await v201.call("GetCertificateStatus", {"ocspRequestData": away}))["status"] == "Failed"


async def _ev_certificate(system: System, station: Station, action: str) -> None:
    exi = base64.b64encode(bytes(range(200))).decode()
    request = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": action, "exiRequest": exi}
    assert await station.call("Get15118EVCertificate", request) == {"status": "Accepted", "exiResponse": exi[::-1]}
    assert f'"{action}"'.encode() in system.provider.asked[-1]


async def test_TC_M_26_ev_certificate_is_installed(system, v201):
    await _ev_certificate(system, v201, "Install")


async def test_TC_M_28_ev_certificate_is_updated(system, v201):
    await _ev_certificate(system, v201, "Update")
