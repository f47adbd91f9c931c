"""Asks OCSP responders whether certificates were revoked, and believes only what is signed by the issuer (RFC 6960)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import httpx
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from csms.blocks.ports import Revocation
from csms.domain.certificates import Hashes, key_hash, name_hash, signed_by
from csms.outbound import Outbound, read_bounded

log = structlog.get_logger()

MOST = 64 << 10  # Bytes of an answer.
_MOST_KEPT = 4096  # Answers; the oldest give way.
_LONGEST_KEPT = timedelta(hours=1)  # A revocation counts within this time, whatever the responder says.
_SKEW = timedelta(minutes=5)  # Responders' clocks are not ours.
_ALGORITHMS = {"SHA256": hashes.SHA256, "SHA384": hashes.SHA384, "SHA512": hashes.SHA512}
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, KeyError)


class NoAnswer(Exception):
    """The responder gave nothing that can be used; the message says why, for the log."""


class Ocsp:
    """The responders that certificates name (`blocks.ports.Responders`)."""

    def __init__(
        self, outbound: Outbound, timeout: float = 5.0, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ):
        """`timeout`: s for all of it, since a driver waits."""
        self._outbound = outbound
        self._timeout = timeout
        self._clock = clock
        self._kept: dict[Hashes, tuple[datetime, bytes]] = {}  # (until when, answer)

    # Tasks, since a handler is driven without one (gateway.turns).

    def status(self, certificate: Hashes, known: Sequence[x509.Certificate] = ()) -> Awaitable[Revocation]:
        return asyncio.ensure_future(self._status(certificate, known))

    def response(self, certificate: Hashes) -> Awaitable[bytes | None]:
        return asyncio.ensure_future(self._response(certificate))

    async def _status(self, certificate: Hashes, known: Sequence[x509.Certificate]) -> Revocation:
        try:
            answer = await self._asked(certificate)
            said = judged(answer, certificate, known, self._clock())
        except NoAnswer as error:
            self._kept.pop(certificate, None)
            log.warning("ocsp.no_answer", responder=certificate.url, serial=certificate.serial, reason=str(error))
            return "unavailable"
        self._keep(certificate, answer)
        return said

    async def _response(self, certificate: Hashes) -> bytes | None:
        try:
            return await self._asked(certificate)
        except NoAnswer as error:
            log.warning("ocsp.no_answer", responder=certificate.url, serial=certificate.serial, reason=str(error))
            return None

    async def _asked(self, certificate: Hashes) -> bytes:
        kept = self._kept.get(certificate)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        request = _request(certificate)
        try:
            async with asyncio.timeout(self._timeout), self._outbound.client(timeout=self._timeout) as http:
                headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
                async with http.stream("POST", certificate.url, content=request, headers=headers) as response:
                    if response.status_code != 200:
                        raise NoAnswer(f"it answered {response.status_code}")
                    answer = await read_bounded(response, MOST)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            raise NoAnswer(str(error) or "no answer in time") from None
        _read(answer)
        return answer

    def _keep(self, certificate: Hashes, answer: bytes) -> None:
        """As long as the responder says, but never for long. What it does not date is asked anew each time."""
        now = self._clock()
        ends = [single.next_update_utc for single in _read(answer).responses if single.next_update_utc is not None]
        if ends:
            self._kept.pop(certificate, None)
            while len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[certificate] = min(*ends, now + _LONGEST_KEPT), answer


def _request(certificate: Hashes) -> bytes:
    try:
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            bytes.fromhex(certificate.issuer_name), bytes.fromhex(certificate.issuer_key),
            int(certificate.serial, 16), _ALGORITHMS[certificate.algorithm](),
        )  # fmt: skip
        return builder.build().public_bytes(Encoding.DER)
    except _UNREADABLE as error:
        raise NoAnswer(f"the hash data cannot be asked about: {error}") from None


def _read(answer: bytes) -> ocsp.OCSPResponse:
    try:
        response = ocsp.load_der_ocsp_response(answer)
    except _UNREADABLE as error:
        raise NoAnswer(f"its answer cannot be read: {error}") from None
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise NoAnswer(f"it says {response.response_status.name}")
    return response


def judged(answer: bytes, certificate: Hashes, known: Sequence[x509.Certificate], now: datetime) -> Revocation:
    """What an answer says of the certificate; NoAnswer unless it is about it, of now, and signed by whom it may be."""
    response = _read(answer)
    single = next((each for each in response.responses if _is_about(each, certificate)), None)
    if single is None:
        raise NoAnswer("its answer is about another certificate")
    if single.this_update_utc > now + _SKEW or (single.next_update_utc or now) < now - _SKEW:
        raise NoAnswer("its answer is out of date")
    if single.next_update_utc is None and now - single.this_update_utc > timedelta(days=1):
        raise NoAnswer("its answer is old and does not say how long it holds")
    try:
        believed = any(_has_signed(signer, response) for signer in _signers(response, certificate, known, now))
    except _UNREADABLE:  # A certificate in the answer that is none.
        believed = False
    if not believed:
        raise NoAnswer(
            "its answer is not signed by the issuer of the certificate, nor in its name; list the issuer in "
            "CSMS_CONTRACT_ROOTS if it is not in the answer"
        )
    return {
        ocsp.OCSPCertStatus.GOOD: "good", ocsp.OCSPCertStatus.REVOKED: "revoked",
    }.get(single.certificate_status, "unknown")  # fmt: skip


def _is_about(single: ocsp.OCSPSingleResponse, certificate: Hashes) -> bool:
    return (
        single.serial_number == int(certificate.serial, 16)
        and single.hash_algorithm.name.upper() == certificate.algorithm
        and single.issuer_name_hash.hex() == certificate.issuer_name.lower()
        and single.issuer_key_hash.hex() == certificate.issuer_key.lower()
    )


def _signers(
    response: ocsp.OCSPResponse, certificate: Hashes, known: Sequence[x509.Certificate], now: datetime
) -> Iterator[x509.Certificate]:  # fmt: skip
    """The issuer, known by its hashes, and those whom it lets answer in its name (RFC 6960 4.2.2.2)."""
    along = list(response.certificates)
    for issuer in (*known, *along):
        if (
            key_hash(issuer, certificate.algorithm) == certificate.issuer_key.lower()
            and name_hash(issuer, certificate.algorithm) == certificate.issuer_name.lower()
        ):
            yield issuer
            yield from (each for each in along if signed_by(each, issuer) and _may_answer(each, now))


def _may_answer(certificate: x509.Certificate, now: datetime) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    return valid and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _has_signed(signer: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    key, digest = signer.public_key(), response.signature_hash_algorithm
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(digest))
            case rsa.RSAPublicKey():
                key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), digest)
            case _:
                return False
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True
