"""Connections that come through a proxy which ends TLS: who the station really is, told in headers (N15).

Only proxies in the listed networks are believed. What they tell has to be their own: they must set these headers
anew and drop what the client sent, but for the list of addresses, of which the last that is no proxy counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Protocol
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import NameOID
from websockets.datastructures import Headers

from csms.gateway.admission import Refused
from csms.gateway.tls import Certificate

VERIFIED = frozenset({"SUCCESS", "0", "OK", "TRUE"})  # nginx, HAProxy (ssl_c_verify), others.
SECURE = frozenset({"https", "wss"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What a proxy tells of a connection."""

    address: str
    profile: int
    certificate: Certificate | None = None


class Behind(Protocol):
    """A connection that may come through a proxy."""

    behind: Seen | None

    @property
    def address(self) -> str | None: ...


class Proxies:
    def __init__(
        self, networks: Iterable[str] = (), address: str = "X-Forwarded-For", proto: str = "X-Forwarded-Proto",
        certificate: str = "X-Client-Cert", verified: str = "X-Client-Verify",
    ):  # fmt: skip
        """Names of headers. `certificate`: the client's, in PEM with percent-encoding, or DER in base64."""
        self._networks = [ip_network(text, strict=False) for text in networks]
        self._address, self._proto = address, proto
        self._certificate, self._verified = certificate, verified
        self.trusts = lru_cache(maxsize=1024)(self._trusts)

    def look_behind(self, link: Behind, headers: Headers) -> bool:
        """Let the link be who its proxy says; whether it comes through one. Refused for headers that contradict."""
        if not self._networks or not self.trusts(link.address):
            return False
        address = self._client(headers, link.address or "")
        certificate = self._shown(headers)
        secure = _one(headers, self._proto).lower() in SECURE
        if certificate is not None and not secure:
            raise Refused(400, f"The proxy tells of a certificate without TLS: {self._proto} has to be https.")
        link.behind = Seen(address, 3 if certificate is not None else 2 if secure else 1, certificate)
        return True

    def _trusts(self, text: str | None) -> bool:
        try:
            address = ip_address((text or "").partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _client(self, headers: Headers, nearest: str) -> str:
        """The last address in the list that is no proxy: what stands before it is the client's own word."""
        named = [part.strip() for line in headers.get_all(self._address) for part in line.split(",")]
        for text in reversed(named):
            address = _address(text)
            if address is None:
                break
            nearest = address
            if not self.trusts(address):
                break
        return nearest

    def _shown(self, headers: Headers) -> Certificate | None:
        """The client's certificate, whose path the proxy has checked; its dates are checked once more."""
        text = _one(headers, self._certificate)
        if not text:
            return None
        if _one(headers, self._verified).upper() not in VERIFIED:
            raise Refused(403, "The proxy has not verified the certificate.")
        certificate = _read(text)
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise Refused(403, "The certificate is not valid now.")
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        organizations = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return Certificate(
            str(names[0].value) if len(names) == 1 else None, tuple(str(each.value) for each in organizations),
            f"{certificate.serial_number:x}",
        )  # fmt: skip


def _one(headers: Headers, name: str) -> str:
    """A header that a proxy sets; two of them mean that it did not drop the client's."""
    lines = headers.get_all(name)
    if len(lines) > 1:
        raise Refused(400, f"{name} is there more than once: let the proxy drop what clients send.")
    return lines[0].strip() if lines else ""


def _read(text: str) -> x509.Certificate:
    try:
        plain = unquote(text)
        if "-----BEGIN" not in plain:  # DER in base64: as PEM without its lines.
            plain = f"-----BEGIN CERTIFICATE-----\n{text.strip(':')}\n-----END CERTIFICATE-----\n"
        elif "\n" not in plain.strip():  # Some proxies write tabs or blanks for the line ends of PEM.
            inner = plain.partition("CERTIFICATE-----")[2].partition("-----END")[0]
            body = "\n".join(inner.split())
            plain = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
        return x509.load_pem_x509_certificate(plain.encode())
    except ValueError:
        raise Refused(
            400, "The proxy's certificate header cannot be read: PEM, percent-encoded, or DER in base64."
        ) from None


def _address(text: str) -> str | None:
    """An address as proxies write it: with or without port and brackets."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
