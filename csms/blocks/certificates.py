"""Functional blocks A and M: who gets a certificate, what became of it, and whether others' hold."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import structlog

from csms.blocks.asking import Question, settles
from csms.blocks.dispatch import Context, answers
from csms.blocks.ports import AuthorityError
from csms.blocks.reports import keep
from csms.domain.asked import CertificateSettled
from csms.domain.certificates import (
    BadChain,
    BadRequest,
    Hashes,
    Kind,
    Order,
    check_request,
    read_chain,
    read_request,
)  # fmt: skip
from csms.domain.events import CertificateRequested
from csms.domain.unit import Reported
from csms.ocpp import v16, v201
from csms.ocpp.catalogue import Version

log = structlog.get_logger()

REQUEST = "certificate_request"  # The kind under which a request is kept until its certificate is taken or refused.
# What 2.x calls the certificates that we issue; one for both uses (no type given) is a station's.
KINDS: dict[str | None, Kind] = {
    None: "station", "ChargingStationCertificate": "station", "V2GCertificate": "v2g",
}  # fmt: skip
TYPES: dict[Kind, str] = {kind: type for type, kind in KINDS.items() if type is not None}
MOST_OCSP = 5500  # Characters that the answer may have.

NOT_SUPPORTED = v201.StatusInfo(reason_code="UnsupportedRequest")
NOT_TAKEN = v201.StatusInfo(reason_code="InvalidCSR")
NO_ANSWER = v201.StatusInfo(reason_code="NoResponse")


# Signing: the station asks, is told that we will, and gets its certificate in a question of ours (A02).


@answers
async def sign_16(request: v16.SignCertificate, ctx: Context) -> v16.SignCertificateResponse:
    order = await _ordered(ctx, request.csr, "station")
    if isinstance(order, str):
        return v16.SignCertificateResponse(status="Rejected")
    ctx.afterwards = _certificate_for(ctx, order, None)
    return v16.SignCertificateResponse(status="Accepted")


@answers
async def sign_2x(request: v201.SignCertificate, ctx: Context) -> v201.SignCertificateResponse:
    type = request.certificate_type
    order = await _ordered(ctx, request.csr, KINDS[type])
    if isinstance(order, str):
        known = ctx.policy.outside.authority is not None
        info = msgspec.structs.replace(NOT_TAKEN, additional_info=order[:512]) if known else NOT_SUPPORTED
        return v201.SignCertificateResponse(status="Rejected", status_info=info)
    ctx.afterwards = _certificate_for(ctx, order, type)
    return v201.SignCertificateResponse(status="Accepted")


async def _ordered(ctx: Context, csr: str, kind: Kind) -> Order | str:
    """What is to be signed, kept with the answer; or why it is not."""
    outside, station = ctx.policy.outside, ctx.station
    if outside.authority is None:
        _told(ctx, kind, "Rejected")
        return "There is no certificate authority here."
    serial = await ctx.records.serial(station.id)
    try:
        check_request(read_request(csr), {station.identity, serial}, outside.organization)
    except BadRequest as error:
        log.warning("certificate.request_refused", operator=station.operator, station=station.identity, kind=kind,
                    reason=str(error))  # fmt: skip
        _told(ctx, kind, "Rejected")
        return str(error)
    _told(ctx, kind, "Accepted")
    keep(ctx, REQUEST, kind, {"csr": csr})
    return Order(station.id, station.operator, station.identity, kind, csr)


def _certificate_for(ctx: Context, order: Order, type: str | None) -> Callable[[], Awaitable[Question | None]]:
    """The question that brings the certificate, once the authority has issued it."""
    authority = ctx.policy.outside.authority

    async def issue() -> Question | None:
        try:
            chain = await authority.issue(order)
        except AuthorityError as error:
            log.error("certificate.not_issued", operator=order.operator, station=order.identity, kind=order.kind,
                      error=str(error), remedy="the station asks again by itself, or trigger it")  # fmt: skip
            return None
        return _brings(chain, type)

    return issue


def question(version: Version, kind: Kind, chain: str) -> Question:
    """The question that brings a certificate to a station."""
    return _brings(chain, None if version is Version.V16 else TYPES[kind])


def _brings(chain: str, type: str | None) -> Question:
    return Question("CertificateSigned", {"certificateChain": chain} | ({"certificateType": type} if type else {}))


@settles
def signed_16(
    request: v16.CertificateSigned, response: v16.CertificateSignedResponse | None
) -> Iterator[CertificateSettled | Reported]:
    yield from _settled(request.certificate_chain, "station", response and response.status)


@settles
def signed_2x(
    request: v201.CertificateSigned, response: v201.CertificateSignedResponse | None
) -> Iterator[CertificateSettled | Reported]:
    yield from _settled(request.certificate_chain, KINDS[request.certificate_type], response and response.status)


def _settled(chain: str, kind: Kind, status: str | None) -> Iterator[CertificateSettled | Reported]:
    """Without an answer it may have been taken: it stays as issued, and is brought again."""
    if status is None:
        return
    try:
        serial = read_chain(chain)[0].serial_number
    except BadChain:  # A tester's own idea of a chain.
        return
    yield CertificateSettled(serial=f"{serial:x}", taken=status == "Accepted")
    yield Reported(REQUEST, kind, b"null")


# Whether others' certificates hold (ISO 15118)


@answers
async def certificate_status(request: v201.GetCertificateStatus, ctx: Context) -> v201.GetCertificateStatusResponse:
    """The responder's own answer, which the station judges (M06)."""
    responders = ctx.policy.outside.responders
    if responders is None:
        _told(ctx, "ocsp", "Failed")
        return v201.GetCertificateStatusResponse(status="Failed", status_info=NOT_SUPPORTED)
    response = await responders.response(hashes_from(request.ocsp_request_data))
    result = base64.b64encode(response).decode() if response is not None else ""
    if not 0 < len(result) <= MOST_OCSP:
        _told(ctx, "ocsp", "Failed")
        return v201.GetCertificateStatusResponse(status="Failed", status_info=NO_ANSWER)
    _told(ctx, "ocsp", "Accepted")
    return v201.GetCertificateStatusResponse(status="Accepted", ocsp_result=result)


@answers
async def ev_certificate(request: v201.Get15118EVCertificate, ctx: Context) -> v201.Get15118EVCertificateResponse:
    """Passed on and back untouched: what is inside is between the car and its provider (M01, M02)."""
    provider = ctx.policy.outside.provider
    answer = None
    if provider is not None:
        answer = await provider.ev_certificate(request.iso15118_schema_version, request.action, request.exi_request)
    if answer is None:
        _told(ctx, "contract", "Failed")
        info = NOT_SUPPORTED if provider is None else NO_ANSWER
        return v201.Get15118EVCertificateResponse(status="Failed", exi_response="", status_info=info)
    went_well, exi_response = answer
    status = "Accepted" if went_well else "Failed"
    _told(ctx, "contract", status)
    return v201.Get15118EVCertificateResponse(status=status, exi_response=exi_response)


def hashes_from(data: v201.OCSPRequestData) -> Hashes:
    return Hashes(
        data.hash_algorithm, data.issuer_name_hash, data.issuer_key_hash, data.serial_number, data.responder_url
    )  # fmt: skip


def _told(ctx: Context, what: str, answer: str) -> None:
    ctx.unit.events.append(CertificateRequested(at=ctx.now, what=what, answer=answer))
