"""OCPP 1.6 cases of smart charging and of the security extension in which an operator acts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.operator import Operator
from tests.conformance.station import Station, now
from tests.conformance.test_16_core import start
from tests.conformance.test_16_operator import ACCEPTED, URL, asks, later, refuses

# Smart charging


def profile(purpose: str, kind: str = "Absolute", **fields: Any) -> dict[str, Any]:
    schedule = {
        "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0, "numberPhases": 3}],
    }  # fmt: skip
    made = {"stackLevel": 0, "chargingProfilePurpose": purpose, "chargingProfileKind": kind}
    if kind == "Absolute":
        schedule |= {"duration": 86400, "startSchedule": later(0)}
        made |= {"validFrom": later(0), "validTo": later(24)}
    return made | {"chargingSchedule": schedule} | fields


async def _profile(station: Station, operator: Operator, connector: int, made: dict[str, Any]) -> int:
    payload = {"connectorId": connector, "csChargingProfiles": made}
    asked, outcome = await operator.exchange(station, "SetChargingProfile", payload)
    number = asked["csChargingProfiles"]["chargingProfileId"]
    assert asked == {"connectorId": connector, "csChargingProfiles": made | {"chargingProfileId": number}}
    assert outcome["response"] == ACCEPTED
    return number


async def test_TC_056_default_profile(v16, operator):
    number = await _profile(v16, operator, 1, profile("TxDefaultProfile"))
    (known,) = await operator.items("/charging-profiles", station_id=v16.identity)
    assert (known["profile_id"], known["purpose"], known["evse_id"]) == (number, "TxDefaultProfile", 1)


async def test_TC_057_profile_of_a_transaction(v16, operator, token):
    transaction = (await start(v16, token))["transactionId"]
    await _profile(v16, operator, 1, profile("TxProfile", "Relative", transactionId=transaction))


async def test_TC_059_remote_start_with_a_profile(v16, operator, token):
    made = profile("TxProfile", "Relative", chargingProfileId=77)
    request = {"idTag": token, "connectorId": 1, "chargingProfile": made}
    await asks(operator, v16, "RemoteStartTransaction", request)
    assert (await start(v16, token))["idTagInfo"]["status"] == "Accepted"


async def test_TC_066_composite_schedule(v16, operator):
    await _profile(v16, operator, 1, profile("TxDefaultProfile"))
    request = {"connectorId": 1, "duration": 300, "chargingRateUnit": "A"}
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}], "duration": 300}
    answer = {"status": "Accepted", "connectorId": 1, "scheduleStart": now(), "chargingSchedule": schedule}
    assert await asks(operator, v16, "GetCompositeSchedule", request, answer) == answer


async def test_TC_067_profiles_are_cleared(v16, operator):
    numbers = [
        await _profile(v16, operator, 1, profile("TxDefaultProfile", stackLevel=level)) for level in (0, 1)
    ]  # fmt: skip
    numbers.append(await _profile(v16, operator, 0, profile("ChargePointMaxProfile")))
    assert len(set(numbers)) == 3
    await asks(operator, v16, "ClearChargingProfile", {"id": numbers[0]})
    await asks(operator, v16, "ClearChargingProfile", {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1})
    left = await operator.items("/charging-profiles", station_id=v16.identity)
    assert [each["profile_id"] for each in left] == [numbers[2]]


# Security


HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "c3"}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"


async def _installed(station: Station, operator: Operator, kind: str) -> None:
    request = {"certificateType": kind, "certificate": CERTIFICATE}
    await asks(operator, station, "InstallCertificate", request)
    answer = {"status": "Accepted", "certificateHashData": [HASH]}
    assert await asks(operator, station, "GetInstalledCertificateIds", {"certificateType": kind}, answer) == answer


async def test_TC_075_1_manufacturer_root(v16, operator):
    await _installed(v16, operator, "ManufacturerRootCertificate")


async def test_TC_075_2_central_system_root(v16, operator):
    await _installed(v16, operator, "CentralSystemRootCertificate")


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_TC_076_certificate_is_deleted_by_the_hash_it_was_listed_with(v16, operator, algorithm):
    answer = {"status": "Accepted", "certificateHashData": [HASH | {"hashAlgorithm": algorithm}]}
    kind = {"certificateType": "ManufacturerRootCertificate"}
    listed = await asks(operator, v16, "GetInstalledCertificateIds", kind, answer)
    (data,) = listed["certificateHashData"]
    await asks(operator, v16, "DeleteCertificate", {"certificateHashData": data})


async def test_TC_078_bad_central_system_certificate(v16, operator):
    event = {"type": "InvalidCentralSystemCertificate", "timestamp": now()}
    request = {"certificateType": "CentralSystemRootCertificate", "certificate": CERTIFICATE}
    await refuses(operator, v16, "InstallCertificate", request, "Rejected")
    assert await v16.call("SecurityEventNotification", event) == {}


async def _log(station: Station, operator: Operator, kind: str) -> None:
    payload = {"logType": kind, "log": {"remoteLocation": URL}}
    answer = {"status": "Accepted", "filename": "log.gz"}
    asked, outcome = await operator.exchange(station, "GetLog", payload, answer)
    number = asked["requestId"]
    assert asked == payload | {"requestId": number} and outcome["response"] == answer
    for status in ("Uploading", "Uploaded"):
        assert await station.call("LogStatusNotification", {"status": status, "requestId": number}) == {}


async def test_TC_079_security_log(v16, operator):
    await _log(v16, operator, "SecurityLog")


FIRMWARE = {
    "location": URL, "retrieveDateTime": "2026-01-01T00:00:00Z", "signingCertificate": CERTIFICATE, "signature": "c2ln",
}  # fmt: skip


async def _signed(station: Station, operator: Operator, answer: str, *progress: str) -> None:
    asked, outcome = await operator.exchange(
        station, "SignedUpdateFirmware", {"firmware": FIRMWARE}, {"status": answer}
    )
    assert asked == {"firmware": FIRMWARE, "requestId": asked["requestId"]} and outcome["response"] == {
        "status": answer
    }
    for status in progress:
        told = {"status": status, "requestId": asked["requestId"]}
        assert await station.call("SignedFirmwareStatusNotification", told) == {}


async def test_TC_080_signed_firmware(v16, operator):
    await _signed(v16, operator, "Accepted", "Downloading", "Downloaded", "SignatureVerified", "Installing")
    await v16.reconnect(boot=True)
    told = {"status": "Installed", "requestId": 1}
    assert await v16.call("SignedFirmwareStatusNotification", told) == {}
    event = {"type": "FirmwareUpdated", "timestamp": now()}
    assert await v16.call("SecurityEventNotification", event) == {}


async def test_TC_081_bad_firmware_signature(v16, operator):
    await _signed(v16, operator, "Accepted", "Downloading", "Downloaded", "InvalidSignature")
    event = {"type": "InvalidFirmwareSignature", "timestamp": now()}
    assert await v16.call("SecurityEventNotification", event) == {}
