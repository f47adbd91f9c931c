"""Others that a central system asks about certificates, over real sockets: an OCSP responder, a contract provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests import pki
from tests.pki import Authority

Status = ocsp.OCSPCertStatus


class HttpSite:
    """Answers POSTs with what `answer` makes of the body: (status, body); counts them."""

    def __init__(self, answer: Callable[[bytes], tuple[int, bytes]]):
        self.answer = answer
        self.asked: list[bytes] = []
        self.silent = False  # It takes the question and says nothing.
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
        self.asked.append(await reader.readexactly(length))
        if self.silent:
            await reader.read()
        else:
            status, body = self.answer(self.asked[-1])
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
            )
        writer.close()


@asynccontextmanager
async def open_site(site: HttpSite) -> AsyncIterator[HttpSite]:
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


class Responder(HttpSite):
    """Says of each serial number what `said` holds, good else; by default it answers in the authority's own name."""

    def __init__(self, authority: Authority):
        super().__init__(lambda body: (200, self.made(body)))
        self.authority = authority
        self.said: dict[int, Status] = {}
        self.signer: tuple[x509.Certificate, Any] = authority.certificate, authority.key
        self.along: list[x509.Certificate] = [authority.certificate]
        self.age = timedelta(0)
        self.life: timedelta | None = timedelta(days=1)
        self.about: int | None = None  # Another serial number than it was asked about.

    def delegated(self, *, usage: Any = x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING, by: Authority | None = None) -> None:
        """Let somebody else answer, in the authority's name or in `by`'s."""
        key = pki.ec_key()
        certificate = (by or self.authority).sign(pki.name("Responder"), key.public_key(), usage=usage)
        self.signer, self.along = (certificate, key), [certificate, self.authority.certificate]

    def made(self, body: bytes) -> bytes:
        asked = ocsp.load_der_ocsp_request(body)
        serial = asked.serial_number if self.about is None else self.about
        status, now = self.said.get(asked.serial_number, Status.GOOD), datetime.now(UTC) - self.age
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=asked.issuer_name_hash, issuer_key_hash=asked.issuer_key_hash, serial_number=serial,
            algorithm=asked.hash_algorithm, cert_status=status, this_update=now,
            next_update=now + self.life if self.life is not None else None,
            revocation_time=now if status is Status.REVOKED else None, revocation_reason=None,
        ).responder_id(ocsp.OCSPResponderEncoding.HASH, self.signer[0])  # fmt: skip
        if self.along:
            builder = builder.certificates(self.along)
        return builder.sign(self.signer[1], hashes.SHA256()).public_bytes(Encoding.DER)


class Provider(HttpSite):
    """The reference of a contract provider: answers with what it was given, turned around."""

    def __init__(self) -> None:
        super().__init__(self._given)
        self.status = "Accepted"

    def _given(self, body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        return 200, json.dumps({"status": self.status, "exiResponse": asked["exiRequest"][::-1]}).encode()


def ocsp_access(url: str) -> x509.AuthorityInformationAccess:
    method = x509.AuthorityInformationAccessOID.OCSP
    return x509.AuthorityInformationAccess([x509.AccessDescription(method, x509.UniformResourceIdentifier(url))])
