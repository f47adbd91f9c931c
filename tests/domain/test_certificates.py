"""What makes a request, and a contract's chain, good."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from csms.domain.certificates import (
    BadChain,
    BadRequest,
    check_request,
    hashes_of,
    key_hash,
    name_hash,
    path,
    read_chain,
    read_request,
)  # fmt: skip
from tests import pki
from tests.pki import DAY, Authority

NOW = datetime.now(UTC)
NAMES = {"CS-1", "SN-1", None}


def refused(pem: str, organization: str | None = "ACME") -> str:
    with pytest.raises(BadRequest) as error:
        check_request(read_request(pem), NAMES, organization)
    return str(error.value)


@pytest.mark.parametrize("common", ["CS-1", "SN-1"])
@pytest.mark.parametrize(
    "key", [pki.ec_key(), pki.ec_key(ec.SECP384R1()), pki.rsa_key()], ids=["P-256", "P-384", "RSA"]
)
def test_request_for_the_stations_own_name_is_good(common, key):
    check_request(read_request(pki.request(common, key=key)), NAMES, "ACME")
    check_request(read_request("\n " + pki.request(common, None, key=key) + "\n\n"), NAMES, None)


@pytest.mark.parametrize(
    ("pem", "word"),
    [
        (pki.request("CS-2"), "name this station only"),
        (pki.request("cs-1"), "name this station only"),
        (pki.request(None), "missing"),
        (pki.request(None, subject=pki.name("CS-1", "ACME", "CS-2")), "name this station only"),
        (pki.request("CS-1", "OTHER"), "organization"),
        (pki.request("CS-1", None), "organization"),
        (pki.request("CS-1", key=pki.rsa_key(1024)), "2048"),
        (pki.request("CS-1", key=pki.ec_key(ec.SECP192R1())), "224"),
    ],
    ids=["other", "case", "nobody", "two", "organization", "no organization", "weak RSA", "weak EC"],
)
def test_request_that_claims_too_much_is_refused(pem, word):
    assert word in refused(pem)


def test_key_of_a_kind_that_tls_suites_lack_is_refused():
    for key, digest in (
        (ed25519.Ed25519PrivateKey.generate(), None),
        (dsa.generate_private_key(2048), hashes.SHA256()),
    ):
        builder = x509.CertificateSigningRequestBuilder().subject_name(pki.name("CS-1", "ACME"))
        assert "RSA" in refused(builder.sign(key, digest).public_bytes(Encoding.PEM).decode())


def test_request_without_the_key_is_refused():
    """Proof of possession: a public key that somebody else has shown cannot be had signed."""
    good = read_request(pki.request("CS-1")).public_bytes(Encoding.DER)
    forged = bytearray(good)
    forged[-1] ^= 1
    pem = x509.load_der_x509_csr(bytes(forged)).public_bytes(Encoding.PEM).decode()
    assert "not signed by the key" in refused(pem)


@pytest.mark.parametrize("text", ["", "CSR", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
                                  pki.pem(Authority().certificate).decode(), "\x00", "é"])  # fmt: skip
def test_what_is_no_request_is_refused(text):
    assert "no certificate signing request" in refused(text)


# Contracts


ROOT = Authority("MO root")
SUB = Authority("MO sub", ROOT)


def contract(signer: Authority = SUB, **options) -> str:
    key = pki.ec_key()
    leaf = signer.sign(pki.name("DEACME00000001"), key.public_key(), **options)
    return pki.pem(leaf, *signer.chain).decode()


def why_not(pem: str, *roots: x509.Certificate) -> str:
    with pytest.raises(BadChain) as error:
        path(read_chain(pem), roots or (ROOT.certificate,), NOW)
    return error.value.status


def test_contract_leads_to_a_trusted_root():
    found = path(read_chain(contract()), [ROOT.certificate], NOW)
    assert [each.subject for each in found[1:]] == [SUB.certificate.subject, ROOT.certificate.subject]
    leaf = contract().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    assert len(path(read_chain(leaf), [SUB.certificate], NOW)) == 2, "a sub-authority may be trusted, too"


def test_order_of_the_chain_does_not_matter_beyond_the_leaf():
    lower = Authority("MO sub 2", SUB)
    parts = read_chain(contract(lower))
    turned = pki.pem(parts[0], *reversed(parts[1:])).decode()
    assert len(path(read_chain(turned), [ROOT.certificate], NOW)) == 4


@pytest.mark.parametrize(
    ("pem", "status"),
    [
        (contract(Authority("Rogue")), "CertChainError"),
        (contract(ends=-DAY / 2), "CertificateExpired"),
        (contract(starts=DAY), "CertificateExpired"),
        (contract(Authority("Old sub", ROOT, starts=-9 * DAY, ends=-DAY)), "CertificateExpired"),
        (pki.pem(read_chain(contract())[0]).decode(), "CertChainError"),
        ("no chain", "CertChainError"),
        (pki.pem(*[SUB.certificate] * 7).decode(), "CertChainError"),
    ],
    ids=["foreign root", "expired", "not yet", "expired sub", "no sub", "no PEM", "long"],
)
def test_contract_that_does_not_hold_is_refused(pem, status):
    assert why_not(pem) == status


def test_contract_of_somebody_with_the_name_of_the_authority_is_refused():
    rogue = Authority("Rogue")
    rogue.name, rogue.chain = SUB.name, SUB.chain
    assert why_not(contract(rogue)) == "SignatureError"


def test_station_cannot_act_as_an_authority():
    key = pki.ec_key()
    leaf = SUB.sign(pki.name("No authority"), key.public_key())
    other = Authority.__new__(Authority)
    other.key, other.name, other.certificate, other.chain = key, leaf.subject, leaf, [leaf, *SUB.chain]
    assert why_not(contract(other)) == "SignatureError"


@pytest.mark.parametrize(
    ("name", "kind"), [("SHA256", hashes.SHA256()), ("SHA384", hashes.SHA384()), ("SHA512", hashes.SHA512())]
)
def test_hashes_are_those_of_ocsp(name, kind):
    """An independent library builds the same from the certificates."""
    leaf = read_chain(contract())[0]
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, SUB.certificate, kind).build()
    assert name_hash(SUB.certificate, name) == request.issuer_name_hash.hex()
    assert key_hash(SUB.certificate, name) == request.issuer_key_hash.hex()


def test_responder_is_the_one_in_the_certificate():
    url = "http://ocsp.example/mo"
    access = x509.AuthorityInformationAccess([
        x509.AccessDescription(x509.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)),
    ])  # fmt: skip
    leaf = SUB.sign(pki.name("DE1"), pki.ec_key().public_key(), access=access)
    found = hashes_of(leaf, SUB.certificate)
    assert (found.url, int(found.serial, 16), found.algorithm) == (url, leaf.serial_number, "SHA256")
    assert hashes_of(read_chain(contract())[0], SUB.certificate) is None
