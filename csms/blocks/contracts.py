"""Functional block C, contracts (C07): whether the certificates behind an eMAID hold."""

from __future__ import annotations

from collections.abc import Awaitable
from itertools import pairwise

import structlog
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from csms.blocks.certificates import hashes_from
from csms.blocks.dispatch import Context
from csms.blocks.ports import Responders, Revocation
from csms.domain.certificates import BadChain, Hashes, hashes_of, named, path, read_chain
from csms.ocpp import v201

log = structlog.get_logger()

ACCEPTED = "Accepted"
# What AuthorizeCertificateStatusEnum says of what responders say; the worst of a chain counts.
VERDICTS: dict[Revocation, str] = {
    "revoked": "CertificateRevoked", "unknown": "CertChainError", "unavailable": "NoCertificateAvailable",
    "good": ACCEPTED,
}  # fmt: skip
_EMAID = 14  # Characters of an eMAID without hyphens and check digit.


async def contract_status(request: v201.Authorize, ctx: Context) -> str | None:
    """The certificate status to answer; None where no certificate was shown."""
    shown = request.iso15118_certificate_hash_data
    if request.certificate is None and not shown:
        return None
    outside = ctx.policy.outside
    known = list(outside.contract_roots)
    questions = [hashes_from(data) for data in shown or ()]
    if request.certificate is not None:
        try:
            chain = path(read_chain(request.certificate), outside.contract_roots, ctx.now)
            _is_of(chain[0], request.id_token.id_token)
        except BadChain as error:
            return _refused(ctx, error.status, str(error))
        known += chain
        questions = questions or _questions(chain)
        if not questions:
            return _refused(ctx, "NoCertificateAvailable", "The contract's certificate names no OCSP responder.")
    if outside.responders is None:
        return _refused(ctx, "NoCertificateAvailable", "Nobody is asked about certificates here.")
    said = await _all(outside.responders, questions, known)
    worst = next(status for status in VERDICTS if status in said)
    return ACCEPTED if worst == "good" else _refused(ctx, VERDICTS[worst], f"OCSP: {worst}.")


async def _all(responders: Responders, questions: list[Hashes], known: list[Certificate]) -> set[Revocation]:
    """All are asked at once: a driver waits."""
    answers: list[Awaitable[Revocation]] = [responders.status(each, known) for each in questions]
    return {await answer for answer in answers}


def _questions(chain: list[Certificate]) -> list[Hashes]:
    """What is asked of each certificate below the root; nothing where the contract's own names no responder."""
    found = [hashes_of(each, issuer) for each, issuer in pairwise(chain)]
    return [each for each in found if each is not None] if found and found[0] is not None else []


def _is_of(certificate: Certificate, token: str) -> None:
    """Else whoever has some contract could charge on every other."""
    names = named(certificate.subject, NameOID.COMMON_NAME)
    if [_emaid(name) for name in names] != [_emaid(token)]:
        raise BadChain("CertChainError", "The certificate is of another contract.")


def _emaid(text: str) -> str:
    """Without hyphens, check digit and case (T29)."""
    return text.replace("-", "").upper()[:_EMAID]


def _refused(ctx: Context, status: str, reason: str) -> str:
    log.warning("contract.refused", operator=ctx.station.operator, station=ctx.station.identity, status=status,
                reason=reason)  # fmt: skip
    return status
