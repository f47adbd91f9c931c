"""Makes certificates for tests: authorities, servers and stations, right and wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DAY = timedelta(days=1)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def name(common: str | None, organization: str | None = None, *more: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    parts += [x509.NameAttribute(NameOID.COMMON_NAME, each) for each in ((common,) if common else ()) + more]
    return x509.Name(parts)


class Authority:
    """Signs certificates; `chain` goes along with what an intermediate signs."""

    def __init__(self, common: str = "Test root", parent: Authority | None = None, **options: Any):
        self.key = ec_key()
        self.name = name(common)
        self._parent = parent
        signer = parent or self
        self.certificate = signer.sign(self.name, self.key.public_key(), ca=True, **options)
        self.chain = [] if parent is None else [self.certificate, *parent.chain]

    def sign(
        self, subject: x509.Name, key: Any, *, ca: bool = False, usage: Any = None, starts: timedelta = -DAY,
        ends: timedelta = 30 * DAY, names: tuple[str, ...] = (), digest: hashes.HashAlgorithm | None = None,
        access: x509.AuthorityInformationAccess | None = None,
    ) -> x509.Certificate:  # fmt: skip
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + starts)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if access is not None:
            builder = builder.add_extension(access, critical=False)
        if names:
            hosts = [x509.DNSName(each) if each[0].isalpha() else x509.IPAddress(ip_address(each)) for each in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(self.key, digest or hashes.SHA256())

    def server(self, key: Any, **options: Any) -> bytes:
        """Chain and key of a server on this machine, PEM."""
        options = {"usage": SERVER, "names": ("localhost", "127.0.0.1")} | options
        return pem(self.sign(name("localhost"), key.public_key(), **options), *self.chain, key=key)

    def station(
        self, common: str | None, organization: str | None = "ACME", *, key: Any = None, **options: Any
    ) -> bytes:
        """Chain and key of a station, PEM."""
        key = key or ec_key()
        subject = options.pop("subject", None) or name(common, organization)
        return pem(self.sign(subject, key.public_key(), **{"usage": CLIENT} | options), *self.chain, key=key)

    def revoked(self, *certificates: x509.Certificate) -> bytes:
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(now - DAY).next_update(now + DAY)
        for certificate in certificates:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def request(
    common: str | None, organization: str | None = "ACME", *, key: Any = None, digest: hashes.HashAlgorithm | None = None,
    subject: x509.Name | None = None,
) -> str:  # fmt: skip
    """A certificate signing request, PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or name(common, organization))
    signed = builder.sign(key or ec_key(), digest or hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def private(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip


def pem(*certificates: x509.Certificate, key: Any = None) -> bytes:
    parts = [each.public_bytes(serialization.Encoding.PEM) for each in certificates]
    if key is not None:
        parts.append(private(key))
    return b"".join(parts)


def first(text: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(text)[0]


def kept(folder: Path, file: str, text: bytes) -> Path:
    path = folder / file
    path.write_bytes(text)
    return path
