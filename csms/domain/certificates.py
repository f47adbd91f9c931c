"""What makes a request for a certificate, and a chain of certificates, good: no I/O, no clock, no keys of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

Kind = Literal["station", "v2g"]

MIN_RSA, MIN_EC = 2048, 224  # Bits (A00.FR.503, A00.FR.504).
MOST_IN_CHAIN = 6
_DIGESTS = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNREADABLE = (ValueError, UnsupportedAlgorithm, TypeError)


class BadRequest(Exception):
    """The request cannot be signed; the message says what to change."""


class BadChain(Exception):
    """A contract's certificates do not hold. `status`: why, in the words of AuthorizeCertificateStatusEnum."""

    def __init__(self, status: str, reason: str):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate that a station asked for, and may have."""

    station_id: int
    operator: str
    identity: str
    kind: Kind
    csr: str  # PEM, as sent.

    @property
    def digest(self) -> bytes:
        """Tells equal requests: the same one is answered with the same certificate."""
        return hashlib.sha256(read_request(self.csr).public_bytes(Encoding.DER)).digest()


def read_request(pem: str) -> x509.CertificateSigningRequest:
    """PKCS #10 in PEM; BadRequest for anything else. Stations put \\n in odd places, or none of the header's lines."""
    try:
        return x509.load_pem_x509_csr(pem.strip().encode())
    except _UNREADABLE as error:
        raise BadRequest(f"This is no certificate signing request in PEM: {error}") from None


def check_request(
    csr: x509.CertificateSigningRequest, names: Collection[str], organization: str | None
) -> None:  # fmt: skip
    """BadRequest unless the station holds the key, and asks for its own name within its operator's organization."""
    try:
        key = csr.public_key()
        digest = csr.signature_hash_algorithm
        possessed = csr.is_signature_valid
    except _UNREADABLE as error:
        raise BadRequest(f"The key cannot be used: {error}") from None
    check_key(key)
    if not isinstance(digest, _DIGESTS):
        raise BadRequest("Sign the request with SHA-256 or better.")
    if not possessed:
        raise BadRequest("The request is not signed by the key in it.")
    common = named(csr.subject, NameOID.COMMON_NAME)
    if len(common) != 1 or common[0] not in names:
        raise BadRequest(f"The common name is {', '.join(common) or 'missing'}: name this station only.")
    if organization is not None and named(csr.subject, NameOID.ORGANIZATION_NAME) != [organization]:
        raise BadRequest(f"The organization has to be {organization!r}.")  # A00.FR.511


def check_key(key: object) -> None:
    """BadRequest for a key that is too weak, or of a kind that stations' TLS does not know."""
    match key:
        case rsa.RSAPublicKey() if key.key_size < MIN_RSA:
            raise BadRequest(f"An RSA key needs {MIN_RSA} bits or more, not {key.key_size}.")
        case ec.EllipticCurvePublicKey() if key.curve.key_size < MIN_EC:
            raise BadRequest(f"A key on an elliptic curve needs {MIN_EC} bits or more, not {key.curve.key_size}.")
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey():
            return
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() | _:
            raise BadRequest("Use an RSA key, or one on an elliptic curve (P-256).")


def named(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(part.value) for part in subject.get_attributes_for_oid(oid)]


def serial_text(serial: int) -> str:
    """A serial number as OCPP writes it: hexadecimal, without zeros in front."""
    return f"{serial:x}"


# Contracts (ISO 15118)


@dataclass(frozen=True, slots=True)
class Hashes:
    """A certificate as OCSP asks for it; `algorithm`: SHA256, SHA384 or SHA512. All hexadecimal but the URL."""

    algorithm: str
    issuer_name: str
    issuer_key: str
    serial: str
    url: str


def read_chain(pem: str) -> list[x509.Certificate]:
    """The certificates, leaf first; BadChain for what cannot be read."""
    try:
        chain = x509.load_pem_x509_certificates(pem.strip().encode())
    except _UNREADABLE as error:
        raise BadChain("CertChainError", f"This is no certificate chain in PEM: {error}") from None
    if not 0 < len(chain) <= MOST_IN_CHAIN:
        raise BadChain("CertChainError", f"A chain has 1 to {MOST_IN_CHAIN} certificates.")
    return chain


def path(chain: list[x509.Certificate], roots: Iterable[x509.Certificate], now: datetime) -> list[x509.Certificate]:
    """From the contract's certificate up to one of `roots`, which is the last; BadChain where that does not hold.

    C07: each is signed by the next, which is an authority, and each is valid now.
    """
    trusted = list(roots)
    found = [chain[0]]
    rest = chain[1:]
    while True:
        last = found[-1]
        if not last.not_valid_before_utc <= now <= last.not_valid_after_utc:
            raise BadChain("CertificateExpired", f"{_shown(last)} is not valid now.")
        if len(found) > 1 and last in trusted:
            return found
        if len(found) > MOST_IN_CHAIN:
            raise BadChain("CertChainError", "The chain is too long.")
        named_so = [each for each in (*trusted, *rest) if each.subject == last.issuer and each not in found]
        if not named_so:
            raise BadChain("CertChainError", f"{_shown(last)} leads to none of the trusted roots.")
        found.append(_signer(last, named_so, len(found) - 1))


def _signer(certificate: x509.Certificate, candidates: list[x509.Certificate], below: int) -> x509.Certificate:
    for candidate in candidates:
        if signed_by(certificate, candidate) and _is_authority(candidate, below):
            return candidate
    raise BadChain("SignatureError", f"{_shown(certificate)} is not signed by whom it names.")


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def _is_authority(certificate: x509.Certificate, below: int) -> bool:
    """Whether it may sign others, with so many authorities below it."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return basic.ca and (basic.path_length is None or basic.path_length >= below)


def hashes_of(certificate: x509.Certificate, issuer: x509.Certificate) -> Hashes | None:
    """How OCSP asks for a certificate, at the responder that it names; None where it names none."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    urls = [
        each.access_location.value
        for each in access
        if each.access_method == x509.AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]
    if not urls:
        return None
    return Hashes(
        "SHA256", name_hash(issuer, "SHA256"), key_hash(issuer, "SHA256"), serial_text(certificate.serial_number),
        urls[0],
    )  # fmt: skip


def name_hash(issuer: x509.Certificate, algorithm: str) -> str:
    return hashlib.new(algorithm, issuer.subject.public_bytes()).hexdigest()


def key_hash(issuer: x509.Certificate, algorithm: str) -> str:
    """Of the key's bit string without tag, length and number of unused bits (RFC 6960 4.1.1)."""
    info = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.new(algorithm, _bit_string(info)).hexdigest()


def _bit_string(info: bytes) -> bytes:
    """SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE, subjectPublicKey BIT STRING }"""
    _, start, _ = _element(info, 0)
    _, _, end_of_algorithm = _element(info, start)
    _, start, end = _element(info, end_of_algorithm)
    return info[start + 1 : end]


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """(tag, start of the content, end) of the DER element at a place."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    return data[at], start, start + length


def _shown(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"
