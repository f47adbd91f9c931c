"""Cases of both versions in which a station renews its certificate: 074, 077, A_11 to A_14."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests import pki
from tests.conformance.conftest import System
from tests.conformance.operator import Operator
from tests.conformance.station import WITHIN, Payload, Station, now
from tests.conformance.test_201_handshake import refused, trusting, with_certificate
from tests.conformance.test_201_operator import asks
from tests.pki import kept

EXTENDED = {"requestedMessage": "SignChargePointCertificate"}


async def at_profile_3(system: System, make_station, tmp_path, version: str) -> Station:
    """A station that shows the certificate it was made with."""
    station = await make_station(version, connect=False)
    station.url = system.url(3)
    with_certificate(system, station, tmp_path)
    await station.connect()
    assert (await station.boot())["status"] == "Accepted"
    return station


async def signed(station: Station, key: Any, *, answer: str = "Accepted", **type: str) -> tuple[Payload, str]:
    """The station asks for a certificate of its key: (what brings it, the request)."""
    csr = pki.request(station.identity, key=key)
    assert await station.call("SignCertificate", {"csr": csr} | type) == {"status": "Accepted"}
    return await station.asked("CertificateSigned", {"status": answer}), csr


async def kept_certificate(operator: Operator, station: Station) -> dict[str, Any]:
    """The station's one certificate, once its answer is on record."""
    async with asyncio.timeout(WITHIN):
        while True:
            (found,) = await operator.items("/certificates", station_id=station.identity)
            if found["status"] != "issued":
                return found
            await asyncio.sleep(0.01)


def leaf(brought: Payload, key: Any, station: Station) -> x509.Certificate:
    """The certificate for that key and station, as it was brought."""
    assert len(brought["certificateChain"]) <= 10_000
    certificate = pki.first(brought["certificateChain"].encode())
    assert certificate.public_key() == key.public_key()
    subject = certificate.subject
    assert [part.value for part in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [station.identity]
    assert [part.value for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["ACME"]
    return certificate


async def shows(station: Station, system: System, tmp_path, brought: Payload, key: Any) -> None:
    """The station comes back with its new certificate."""
    await station.close()
    station.tls = trusting(system)
    both = brought["certificateChain"].encode() + pki.private(key)
    station.tls.load_cert_chain(str(kept(tmp_path, "renewed.pem", both)))
    await station.connect()
    assert (await station.boot())["status"] == "Accepted"


@pytest.mark.parametrize("key", [pki.ec_key(), pki.rsa_key()], ids=["EC", "RSA"])
async def test_TC_074_station_certificate_is_renewed(system, make_station, operator: Operator, tmp_path, key):
    station = await at_profile_3(system, make_station, tmp_path, "1.6")
    await asks(operator, station, "ExtendedTriggerMessage", EXTENDED)
    brought, csr = await signed(station, key)
    assert set(brought) == {"certificateChain"}
    certificate = leaf(brought, key, station)
    await shows(station, system, tmp_path, brought, key)
    kept_as = await kept_certificate(operator, station)
    assert (kept_as["status"], int(kept_as["serial"], 16)) == ("installed", certificate.serial_number)
    assert (await station.call("SignCertificate", {"csr": csr}))["status"] == "Accepted"
    again = await station.asked("CertificateSigned")
    assert again == brought, "the same request is answered with the same certificate"
    assert station.unasked() == []


async def test_TC_077_station_finds_its_certificate_bad(system, make_station, operator: Operator, tmp_path):
    station = await at_profile_3(system, make_station, tmp_path, "1.6")
    await asks(operator, station, "ExtendedTriggerMessage", EXTENDED)
    await signed(station, pki.ec_key(), answer="Rejected")
    event = {"type": "InvalidChargePointCertificate", "timestamp": now()}
    assert await station.call("SecurityEventNotification", event) == {}
    kept_as = await kept_certificate(operator, station)
    assert kept_as["status"] == "refused"
    await station.reconnect(boot=True)  # With the one before.


async def test_TC_A_11_station_certificate_is_renewed(system, make_station, operator: Operator, tmp_path):
    station = await at_profile_3(system, make_station, tmp_path, "2.0.1")
    await asks(operator, station, "TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    key = pki.ec_key()
    brought, _ = await signed(station, key, certificateType="ChargingStationCertificate")
    assert brought["certificateType"] == "ChargingStationCertificate"
    leaf(brought, key, station)
    await shows(station, system, tmp_path, brought, key)
    assert station.unasked() == []


async def test_TC_A_12_v2g_certificate_is_renewed(system, v201, operator: Operator):
    await asks(operator, v201, "TriggerMessage", {"requestedMessage": "SignV2GCertificate"})
    key = pki.ec_key()
    brought, _ = await signed(v201, key, certificateType="V2GCertificate")
    assert brought["certificateType"] == "V2GCertificate"
    certificate = leaf(brought, key, v201)
    certificate.verify_directly_issued_by(pki.first((system.ca / "v2g.crt").read_bytes()))
    kept_as = await kept_certificate(operator, v201)
    assert (kept_as["kind"], kept_as["status"]) == ("v2g", "installed")


async def test_TC_A_13_certificate_for_both_uses_is_renewed(v201, operator: Operator):
    """Withdrawn by errata; a station that has one certificate for both names no type, and is told none."""
    await asks(operator, v201, "TriggerMessage", {"requestedMessage": "SignCombinedCertificate"})
    key = pki.ec_key()
    brought, _ = await signed(v201, key)
    assert set(brought) == {"certificateChain"}
    leaf(brought, key, v201)


async def test_TC_A_14_station_refuses_its_new_certificate(system, make_station, operator: Operator, tmp_path):
    station = await at_profile_3(system, make_station, tmp_path, "2.0.1")
    await asks(operator, station, "TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    await signed(station, pki.ec_key(), answer="Rejected", certificateType="ChargingStationCertificate")
    event = {"type": "InvalidChargingStationCertificate", "timestamp": now()}
    assert await station.call("SecurityEventNotification", event) == {}
    await station.reconnect(boot=True)
    assert station.unasked() == []


async def test_request_for_another_station_is_not_signed(v201, operator: Operator):
    for csr in (pki.request("ANOTHER"), pki.request(v201.identity, "OTHER"), "nothing"):
        answer = await v201.call("SignCertificate", {"csr": csr, "certificateType": "ChargingStationCertificate"})
        assert answer["status"] == "Rejected" and answer["statusInfo"]["additionalInfo"]
    assert await operator.items("/certificates", station_id=v201.identity) == []


async def test_revoked_certificate_opens_no_longer(system, make_station, operator: Operator, tmp_path):
    """Where the authority's own list counts; the ports of this server trust another authority as well."""
    station = await at_profile_3(system, make_station, tmp_path, "2.0.1")
    brought, _ = await signed(station, key := pki.ec_key(), certificateType="ChargingStationCertificate")
    await shows(station, system, tmp_path, brought, key)
    serial = f"{leaf(brought, key, station).serial_number:x}"
    await operator.ask("POST", f"/certificates/{serial}/revoke", status=204)
    assert await station.closed() == 1008
    revoked = x509.load_pem_x509_crl((system.ca / "stations.crl").read_bytes())
    assert revoked.get_revoked_certificate_by_serial_number(int(serial, 16)) is not None
    assert await refused(station) == 403
    await operator.ask("POST", "/certificates/abc/revoke", status=404)
