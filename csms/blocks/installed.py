"""Functional block M: which certificates a station holds, by the station's own hash data.

Their law: what names a certificate to the station that holds it is the object it gave, unchanged, whatever its hash
algorithm (T86).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.domain.asked import Forgotten
from csms.domain.unit import Reported
from csms.ocpp import v16, v201

CERTIFICATE = "certificate"

_encode = msgspec.json.Encoder().encode

HashData = v16.CertificateHashData | v201.CertificateHashData
Held = Iterator[Reported | Forgotten]


@settles
def held_16(request: v16.GetInstalledCertificateIds, response: v16.GetInstalledCertificateIdsResponse | None) -> Held:
    if response is not None:
        yield Forgotten(CERTIFICATE, suffix=f"|{request.certificate_type}")
        for data in response.certificate_hash_data or ():
            told = {"certificateType": request.certificate_type, "certificateHashData": data}
            yield Reported(CERTIFICATE, f"{_key(data)}|{request.certificate_type}", _encode(told))


@settles
def held_2x(request: v201.GetInstalledCertificateIds, response: v201.GetInstalledCertificateIdsResponse | None) -> Held:
    if response is not None:
        for kind in request.certificate_type or ("",):
            yield Forgotten(CERTIFICATE, suffix=f"|{kind}" if kind else "")
        for chain in response.certificate_hash_data_chain or ():
            key = f"{_key(chain.certificate_hash_data)}|{chain.certificate_type}"
            yield Reported(CERTIFICATE, key, _encode(chain))


@settles
def deleted(
    request: v16.DeleteCertificate | v201.DeleteCertificate,
    response: v16.DeleteCertificateResponse | v201.DeleteCertificateResponse | None,
) -> Iterator[Forgotten]:
    if response is not None and response.status in ("Accepted", "NotFound"):
        yield Forgotten(CERTIFICATE, prefix=f"{_key(request.certificate_hash_data)}|")


def _key(data: HashData) -> str:
    return f"{data.serial_number}/{data.issuer_key_hash}/{data.issuer_name_hash}/{data.hash_algorithm}".lower()
