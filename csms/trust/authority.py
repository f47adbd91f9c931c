"""A certificate authority in a folder: its keys, and what it signs with them.

Three of them, so that none can speak for another: `stations` (whom profile 3 lets in), `server` (what stations trust us
by) and `v2g` (charging over ISO 15118; put your sub-authority of a V2G root here). A `.crt` holds the authority's
certificate and those above it; a `.key` never leaves its folder, is readable by its owner only, and is not logged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)  # fmt: skip
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Role = Literal["stations", "server", "v2g"]
ROLES: tuple[Role, ...] = ("stations", "server", "v2g")
TITLES: dict[Role, str] = {"stations": "stations", "server": "central system", "v2g": "V2G"}

_LIFE = timedelta(days=3650)  # Of an authority.
_BACKDATED = timedelta(hours=1)  # Stations' clocks are not ours.
_CRL_LIFE = timedelta(days=7)


class AuthorityFolderError(Exception):
    """The folder cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Revoked:
    serial: int
    at: datetime


class Authority:
    """One of the three: signs, and tells what it signed holds no longer."""

    def __init__(self, folder: Path, role: Role):
        self.role = role
        self.folder = folder
        self.chain = _chain(folder / f"{role}.crt")
        self._key = _key(folder / f"{role}.key")
        if self._key.public_key() != self.certificate.public_key():
            raise AuthorityFolderError(
                f"{folder / role}.key is not the key of {role}.crt, which has to come first in it."
            )

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def organization(self) -> str | None:
        names = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return str(names[0].value) if names else None

    def station(self, csr: x509.CertificateSigningRequest, now: datetime, life: timedelta) -> str:
        """The chain for a checked request, PEM: of its subject only what names station and organization is taken."""
        wanted = (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
        parts = [part for oid in wanted for part in csr.subject.get_attributes_for_oid(oid)]
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        if self.role == "v2g":  # The charger is the server of the car (ISO 15118-2, table F.2).
            parts.append(x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "CPO"))
            usage = ExtendedKeyUsageOID.SERVER_AUTH
        return self._told(self._signed(x509.Name(parts), csr.public_key(), now, life, usage))

    def server(self, names: list[str], key: Any, now: datetime, life: timedelta) -> bytes:
        """Chain and key for the server's TLS, PEM; the first name is its common name (A00.FR.421)."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._signed(subject, key.public_key(), now, life, ExtendedKeyUsageOID.SERVER_AUTH, names)
        return self._told(certificate).encode() + _private(key)

    def _signed(
        self, subject: x509.Name, key: Any, now: datetime, life: timedelta, usage: x509.ObjectIdentifier,
        names: Iterable[str] = (),
    ) -> x509.Certificate:  # fmt: skip
        builder = _builder(subject, self.certificate.subject, key, now, life, authority=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        ).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        hosts = [_host(name) for name in names]
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _told(self, certificate: x509.Certificate) -> str:
        """With what stands between it and a root, which whoever checks has already."""
        above = [each for each in self.chain if each.subject != each.issuer]
        return "".join(each.public_bytes(Encoding.PEM).decode() for each in (certificate, *above))

    def write_revoked(self, revoked: Iterable[Revoked], now: datetime) -> Path:
        """Write the list of what holds no longer (`<role>.crl`), good for a week; returns it."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - _BACKDATED)
            .next_update(now + _CRL_LIFE)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )  # fmt: skip
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(each.at)
            builder = builder.add_revoked_certificate(entry.build())
        path = self.folder / f"{self.role}.crl"
        _replace(path, builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM), 0o644)
        return path


def create(folder: Path, organization: str, now: datetime) -> list[Path]:
    """Make the authorities that the folder lacks, with keys of their own; the certificates that are new.

    What is there is left alone: a key that is lost makes every certificate under it worthless.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = []
    for role in ROLES:
        key_file, certificate_file = folder / f"{role}.key", folder / f"{role}.crt"
        if certificate_file.exists() or key_file.exists():
            continue
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{organization} {TITLES[role]} authority"),
        ])  # fmt: skip
        certificate = _builder(subject, subject, key.public_key(), now, _LIFE, authority=True).sign(
            key, hashes.SHA256()
        )
        _replace(key_file, _private(key), 0o600)
        _replace(certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)
        made.append(certificate_file)
    return made


def new_key(kind: Literal["rsa", "ecdsa"]) -> Any:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)  # More is too slow for small stations.
    return ec.generate_private_key(ec.SECP256R1())


def write_private(path: Path, content: bytes) -> None:
    """A file that its owner alone may read, whole or not at all."""
    _replace(path, content, 0o600)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, now: datetime, life: timedelta, *, authority: bool
) -> x509.CertificateBuilder:  # fmt: skip
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=isinstance(key, rsa.RSAPublicKey),
        data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_certificates(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file; AuthorityFolderError when there are none."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AuthorityFolderError(f"{path} cannot be read as certificates in PEM ({error}).") from None


def _chain(path: Path) -> list[x509.Certificate]:
    if not path.exists():
        raise AuthorityFolderError(f"There is no {path}. Make an authority: csms ca init")
    return read_certificates(path)


def _key(path: Path) -> Any:
    try:
        mode = path.stat().st_mode & 0o077
        if mode:
            raise AuthorityFolderError(f"{path} may be read by others: chmod 600 {path}")
        return load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:  # Its text never holds the key.
        raise AuthorityFolderError(f"{path} cannot be read ({type(error).__name__}).") from None


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write beside it, then take its place: nobody ever sees half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
