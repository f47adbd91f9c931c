"""The authority in a folder: what it makes, what it signs, who may read its keys."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csms.domain.certificates import read_request
from csms.trust.authority import Authority, AuthorityFolderError, Revoked, create, new_key
from tests import pki

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create(tmp_path / "ca", "ACME", NOW)
    return tmp_path / "ca"


def test_keys_are_for_their_owner_only_and_made_once(folder: Path):
    keys = sorted(folder.glob("*.key"))
    assert [key.name for key in keys] == ["server.key", "stations.key", "v2g.key"]
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600} and folder.stat().st_mode & 0o777 == 0o700
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert create(folder, "OTHER", NOW) == []
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_key_that_others_may_read_is_not_used(folder: Path):
    (folder / "stations.key").chmod(0o640)
    with pytest.raises(AuthorityFolderError, match="chmod 600"):
        Authority(folder, "stations")


def test_folder_without_an_authority_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(AuthorityFolderError, match="csms ca init"):
        Authority(tmp_path, "stations")


def test_key_of_another_certificate_is_noticed(folder: Path):
    (folder / "stations.crt").write_bytes((folder / "v2g.crt").read_bytes())
    with pytest.raises(AuthorityFolderError, match="not the key"):
        Authority(folder, "stations")


def test_damaged_key_is_told_without_its_text(folder: Path):
    (folder / "stations.key").write_text("-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n")
    with pytest.raises(AuthorityFolderError) as error:
        Authority(folder, "stations")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("key", [pki.ec_key(), pki.rsa_key()], ids=["EC", "RSA"])
def test_station_certificate_names_the_station_and_no_more(folder: Path, key):
    subject = x509.Name([
        *pki.name("CS-1", "ACME"), x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Board of directors"),
    ])  # fmt: skip
    signer = Authority(folder, "stations")
    chain = signer.station(read_request(pki.request(None, subject=subject, key=key)), NOW, YEAR)
    (leaf,) = x509.load_pem_x509_certificates(chain.encode())
    leaf.verify_directly_issued_by(signer.certificate)
    assert leaf.subject.rfc4514_string() == "CN=CS-1,O=ACME" and leaf.public_key() == key.public_key()
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert leaf.not_valid_after_utc == (NOW + YEAR).replace(microsecond=0)


def test_v2g_certificate_is_for_the_server_of_a_car(folder: Path):
    chain = Authority(folder, "v2g").station(read_request(pki.request("CS-1")), NOW, YEAR)
    (leaf,) = x509.load_pem_x509_certificates(chain.encode())
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert [each.value for each in leaf.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)] == ["CPO"]


def test_sub_authority_sends_its_own_certificate_along(folder: Path):
    root, key = pki.Authority("V2G root"), pki.ec_key()
    sub = root.sign(pki.name("CPO sub 2", "ACME"), key.public_key(), ca=True)
    (folder / "v2g.crt").write_bytes(pki.pem(sub, root.certificate))
    (folder / "v2g.key").write_bytes(pki.private(key))
    chain = x509.load_pem_x509_certificates(
        Authority(folder, "v2g").station(read_request(pki.request("CS-1")), NOW, YEAR).encode()
    )  # fmt: skip
    assert len(chain) == 2 and chain[1] == sub, "the root stays away: whoever checks has it"
    chain[0].verify_directly_issued_by(chain[1])


def test_server_certificates_serve_tls(folder: Path, tmp_path: Path):
    for kind in ("rsa", "ecdsa"):
        pem = Authority(folder, "server").server(["csms.example", "127.0.0.1"], new_key(kind), NOW, YEAR)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pki.kept(tmp_path, "server.pem", pem))
        leaf = pki.first(pem)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["csms.example"]
        assert leaf.subject.rfc4514_string() == "CN=csms.example"
        assert load_pem_private_key(pem[pem.index(b"-----BEGIN PRIVATE") :], None).public_key() == leaf.public_key()


def test_revocation_list_names_what_was_revoked(folder: Path):
    signer = Authority(folder, "stations")
    for revoked in ([], [Revoked(0xABC, NOW)]):
        found = x509.load_pem_x509_crl(signer.write_revoked(revoked, NOW).read_bytes())
        assert found.is_signature_valid(signer.certificate.public_key())
        assert [each.serial_number for each in found] == [each.serial for each in revoked]
        assert found.next_update_utc > NOW + timedelta(days=6)
