"""TLS of the station ports: certificates, suites, and who has to show a certificate (security profiles 2 and 3)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

# The four suites of the OCPP security profiles (A00.FR.317), and their ephemeral kin; Python's defaults lack two.
SUITES = "ECDHE+AESGCM:AES128-GCM-SHA256:AES256-GCM-SHA384"
MIN_RSA = 2048  # Bits (A00.FR.503).


class TlsError(Exception):
    """A certificate file cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Tls:
    """What one port's TLS is made of: PEM files, each read anew by `context`.

    `certificates`: chain and key in one file each, one with an RSA and one with an ECDSA key, so that every mandated
    suite works. `client_ca`: whose certificates stations have to show (profile 3); None: none is asked for. `client_crl`:
    the certificates of those that hold no longer.
    """

    certificates: tuple[Path, ...]
    client_ca: Path | None = None
    client_crl: Path | None = None

    @property
    def profile(self) -> int:
        return 2 if self.client_ca is None else 3

    def context(self) -> ssl.SSLContext:
        """TlsError when a file cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(SUITES)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        for path in self.certificates:
            _read(path, context.load_cert_chain, "chain and private key, in PEM")
            _check(path)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            _read(self.client_ca, context.load_verify_locations, "certificates in PEM")
        if self.client_crl is not None:
            _read(self.client_crl, context.load_verify_locations, "a revocation list in PEM")
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context

    def versions(self) -> tuple[int, ...]:
        """Changes when one of the files changed (a file that is gone for a moment counts as unchanged)."""
        files = (*self.certificates, self.client_ca, self.client_crl)
        try:
            return tuple(path.stat().st_mtime_ns for path in files if path is not None)
        except OSError:
            return ()

    def expires_at(self) -> datetime:
        """When the first of the server's certificates ceases to hold."""
        return min(_certificate(path).not_valid_after_utc for path in self.certificates)


def _read(path: Path, load, holds: str) -> None:
    try:
        load(str(path))
    except FileNotFoundError:
        raise TlsError(f"There is no file {path}: it has to hold {holds}.") from None
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"{path} cannot be used ({error.strerror or error}): it has to hold {holds}.") from None


def _check(path: Path) -> None:
    certificate = _certificate(path)
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA:
        raise TlsError(f"{path} holds an RSA key of {key.key_size} bits: stations want {MIN_RSA} or more.")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise TlsError(f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: renew it.")


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise TlsError(f"{path} cannot be read as a certificate ({error}).") from None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a station's certificate says it is; the TLS handshake has checked path, dates and revocation."""

    common_name: str | None  # None: it names nobody, or several.
    organizations: tuple[str, ...] = ()
    serial: str | None = None  # Hexadecimal, without zeros in front.


def profile_of(transport: Any) -> int:
    """The security profile of the port a connection came in by."""
    context = transport.get_extra_info("sslcontext")
    if context is None:
        return 1
    return 2 if context.verify_mode == ssl.CERT_NONE else 3


def certificate_of(transport: Any) -> Certificate | None:
    """The client's certificate; None where none was asked for."""
    shown = transport.get_extra_info("peercert")
    if not shown:
        return None
    named = [pair for part in shown.get("subject", ()) for pair in part]
    names = [value for key, value in named if key == "commonName"]
    return Certificate(
        names[0] if len(names) == 1 else None,
        tuple(value for key, value in named if key == "organizationName"),
        shown.get("serialNumber", "").lower().lstrip("0") or None,
    )
