"""Blocks A and M: security events are kept for good, and certificates are refused in the right words."""

from __future__ import annotations

import pytest

from csms.blocks.security import CRITICAL
from csms.domain.events import CertificateRequested, SecurityNotified
from tests.blocks.conversation import after, stamp

OCSP = {
    "hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1",
    "responderURL": "http://ocsp.example",
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "severity"), [("TamperDetectionActivated", 3), ("InvalidCsmsCertificate", 7), ("VendorsOwn", 7)]
)
async def test_security_event_is_logged_and_told(v16, v201, code, severity):
    for station in (v16, v201):
        sent = {"type": code, "timestamp": stamp(2), "techInfo": "lid open"}
        assert await station.say("SecurityEventNotification", sent) == {}
        ((_, note),) = station.records.log
        assert (note.kind, note.code, note.severity, note.text, note.at) == (
            "security", code, severity, "lid open", after(2),
        )  # fmt: skip
        (event,) = station.events(SecurityNotified)
        assert (event.code, event.critical, event.severity) == (code, code in CRITICAL, severity)


async def test_I6_security_event_that_is_sent_again_is_logged_once(v16, v201):
    for station in (v16, v201):
        sent = {"type": "InvalidFirmwareSignature", "timestamp": stamp(2)}
        for message in (sent, sent | {"techInfo": "another"}, sent, sent | {"timestamp": stamp(3)}):
            assert await station.say("SecurityEventNotification", message) == {}
            await station.restart()
        assert len(station.records.log) == len(station.events(SecurityNotified)) == 3


async def test_security_event_of_a_lost_clock_counts_from_receipt(v16):
    await v16.say("SecurityEventNotification", {"type": "MemoryExhaustion", "timestamp": "1970-01-01T00:00:00Z"})
    assert v16.records.log[0][1].at == v16.now


async def test_certificate_is_not_signed_without_an_authority(v16, v201):
    assert await v16.say("SignCertificate", {"csr": "CSR"}) == {"status": "Rejected"}
    for kind, what in ({}, "station"), ({"certificateType": "V2GCertificate"}, "v2g"):
        assert (await v201.say("SignCertificate", {"csr": "CSR"} | kind))["status"] == "Rejected"
        assert v201.events(CertificateRequested)[-1].what == what


async def test_contract_certificate_and_ocsp_fail_in_the_right_words(v201):
    request = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "AAAA"}
    answer = await v201.say("Get15118EVCertificate", request)
    assert (answer["status"], answer["exiResponse"]) == ("Failed", "")
    assert (await v201.say("GetCertificateStatus", {"ocspRequestData": OCSP}))["status"] == "Failed"
    assert [event.answer for event in v201.events(CertificateRequested)] == ["Failed", "Failed"]
