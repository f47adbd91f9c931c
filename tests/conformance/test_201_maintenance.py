"""OCPP 2.0.1 cases of blocks L (firmware), M (certificates) and O (display)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.operator import Operator
from tests.conformance.station import Station, now
from tests.conformance.test_201_operator import asks, later, numbered
from tests.conformance.transactions import Transaction

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
URL = "https://files.example/firmware.bin"


# L: firmware


def firmware(**fields: Any) -> dict[str, Any]:
    made = {
        "location": URL, "retrieveDateTime": now(), "signingCertificate": CERTIFICATE, "signature": "c2lnbmF0dXJl",
    }  # fmt: skip
    return {"firmware": made | fields}


async def updates(
    station: Station, operator: Operator, *progress: str, answer: str = "Accepted", event: str | None = None,
    **fields: Any,
) -> int:  # fmt: skip
    """An update is asked for and told of, step by step; its number."""
    number = await numbered(operator, station, "UpdateFirmware", firmware(**fields), {"status": answer})
    for status in progress:
        told = {"status": status, "requestId": number}
        assert await station.call("FirmwareStatusNotification", told) == {}
        if status == "InstallRebooting":
            await station.reconnect(boot=True, reason="FirmwareUpdate")
    if event is not None:
        assert await station.call("SecurityEventNotification", {"type": event, "timestamp": now()}) == {}
    if progress:
        (job,) = [
            each
            for each in await operator.items(f"/stations/{station.identity}/jobs")
            if each["kind"] == "firmware" and each["key"] == str(number)
        ]
        assert job["data"]["status"] == progress[-1]
    return number


GOOD = ("Downloading", "Downloaded", "SignatureVerified")


async def test_TC_L_01_firmware_is_installed(v201, operator):
    await updates(v201, operator, *GOOD, "Installing", "InstallRebooting", "Installed", event="FirmwareUpdated")


async def test_TC_L_02_installing_is_scheduled(v201, operator):
    when = later(1)
    await updates(v201, operator, *GOOD, "InstallScheduled", "Installing", "Installed", installDateTime=when)


async def test_TC_L_03_downloading_is_scheduled(v201, operator):
    when = later(1)
    await updates(v201, operator, "DownloadScheduled", *GOOD, "Installing", "Installed", retrieveDateTime=when)


async def test_TC_L_04_signing_certificate_is_revoked(v201, operator):
    await updates(v201, operator, answer="RevokedCertificate", event="InvalidFirmwareSigningCertificate")


async def test_TC_L_05_signing_certificate_is_invalid(v201, operator):
    await updates(v201, operator, answer="InvalidCertificate", event="InvalidFirmwareSigningCertificate")


async def test_TC_L_06_signature_is_invalid(v201, operator):
    await updates(v201, operator, "Downloading", "Downloaded", "InvalidSignature", event="InvalidFirmwareSignature")


async def test_TC_L_07_download_fails(v201, operator):
    await updates(v201, operator, "Downloading", "DownloadFailed")


async def test_TC_L_08_verification_fails(v201, operator):
    await updates(v201, operator, *GOOD, "InstallVerificationFailed")


async def test_TC_L_09_installation_fails(v201, operator):
    await updates(v201, operator, *GOOD, "Installing", "InstallationFailed")


async def test_TC_L_10_new_request_replaces_the_old_one(v201, operator):
    first = await updates(v201, operator, "Downloading")
    second = await updates(v201, operator, "Downloading", "Downloaded", answer="AcceptedCanceled")
    assert first != second


async def test_TC_L_11_update_cannot_be_cancelled(v201, operator):
    await updates(v201, operator, *GOOD, "Installing")
    await updates(v201, operator, answer="Rejected")


async def test_TC_L_13_update_waits_for_the_transaction(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    number = await updates(v201, operator, *GOOD, "InstallScheduled")
    await transaction.ended()
    for status in ("Installing", "Installed"):
        await v201.call("FirmwareStatusNotification", {"status": status, "requestId": number})


async def _published(station: Station, operator: Operator, *progress: str, answer: str = "Accepted") -> None:
    request = {"location": URL, "checksum": "d41d8cd98f00b204e9800998ecf8427e"}
    number = await numbered(operator, station, "PublishFirmware", request, {"status": answer})
    for status in progress:
        told: dict[str, Any] = {"status": status, "requestId": number}
        if status == "Published":
            told["location"] = [URL]
        assert await station.call("PublishFirmwareStatusNotification", told) == {}


async def test_TC_L_17_firmware_is_published(v201, operator):
    await _published(v201, operator, "Downloading", "Downloaded", "ChecksumVerified", "Published")


async def test_TC_L_19_checksum_is_wrong(v201, operator):
    await _published(v201, operator, "Downloading", "Downloaded", "InvalidChecksum")


async def test_TC_L_20_publishing_fails(v201, operator):
    await _published(v201, operator, "Downloading", "Downloaded", "ChecksumVerified", "PublishFailed")


async def test_TC_L_24_download_for_publishing_fails(v201, operator):
    await _published(v201, operator, "Downloading", "DownloadFailed")


async def _unpublished(station: Station, operator: Operator, status: str) -> None:
    request, answer = {"checksum": "d41d8cd98f00b204e9800998ecf8427e"}, {"status": status}
    assert await asks(operator, station, "UnpublishFirmware", request, answer) == answer


async def test_TC_L_21_firmware_is_unpublished(v201, operator):
    await _unpublished(v201, operator, "Unpublished")


async def test_TC_L_22_unknown_firmware_is_unpublished(v201, operator):
    await _unpublished(v201, operator, "NoFirmware")


async def test_TC_L_23_firmware_is_unpublished_while_downloading(v201, operator):
    await _unpublished(v201, operator, "DownloadOngoing")


# M: certificates

HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "c3"}


async def _installed(station: Station, operator: Operator, kind: str, status: str = "Accepted") -> None:
    request = {"certificateType": kind, "certificate": CERTIFICATE}
    assert await asks(operator, station, "InstallCertificate", request, {"status": status}) == {"status": status}


async def _listed(station: Station, operator: Operator, *kinds: str) -> list[dict[str, Any]]:
    request = {"certificateType": list(kinds)} if kinds else {}
    chain = [
        {"certificateType": kind, "certificateHashData": HASH} for kind in kinds or ("CSMSRootCertificate",)
    ]  # fmt: skip
    answer = {"status": "Accepted", "certificateHashDataChain": chain}
    response = await asks(operator, station, "GetInstalledCertificateIds", request, answer)
    assert response == answer
    return response["certificateHashDataChain"]


async def test_TC_M_01_csms_root_is_installed(v201, operator):
    await _installed(v201, operator, "CSMSRootCertificate")


async def test_TC_M_02_manufacturer_root_is_installed(v201, operator):
    await _installed(v201, operator, "ManufacturerRootCertificate")


async def test_TC_M_03_v2g_root_is_installed(v201, operator):
    await _installed(v201, operator, "V2GRootCertificate")


async def test_TC_M_04_mo_root_is_installed(v201, operator):
    await _installed(v201, operator, "MORootCertificate")


@pytest.mark.parametrize("status", ["Failed", "Rejected"])
async def test_TC_M_05_installing_fails(v201, operator, status):
    await _installed(v201, operator, "CSMSRootCertificate", status)


async def test_TC_M_12_csms_roots_are_listed(v201, operator):
    await _listed(v201, operator, "CSMSRootCertificate")


async def test_TC_M_13_manufacturer_roots_are_listed(v201, operator):
    await _listed(v201, operator, "ManufacturerRootCertificate")


async def test_TC_M_14_v2g_roots_are_listed(v201, operator):
    await _listed(v201, operator, "V2GRootCertificate")


async def test_TC_M_15_v2g_chains_are_listed(v201, operator):
    await _listed(v201, operator, "V2GCertificateChain")


async def test_TC_M_16_mo_roots_are_listed(v201, operator):
    await _listed(v201, operator, "MORootCertificate")


async def test_TC_M_17_two_kinds_are_listed(v201, operator):
    await _listed(v201, operator, "CSMSRootCertificate", "ManufacturerRootCertificate")


async def test_TC_M_18_all_are_listed(v201, operator):
    await _listed(v201, operator)


async def test_TC_M_19_nothing_is_found(v201, operator):
    request, answer = {"certificateType": ["CSMSRootCertificate"]}, {"status": "NotFound"}
    assert await asks(operator, v201, "GetInstalledCertificateIds", request, answer) == answer


async def _deleted(station: Station, operator: Operator, status: str) -> None:
    (found,) = await _listed(station, operator, "ManufacturerRootCertificate")
    request = {"certificateHashData": found["certificateHashData"]}
    assert await asks(operator, station, "DeleteCertificate", request, {"status": status}) == {"status": status}


async def test_TC_M_20_certificate_is_deleted_by_the_hash_it_was_listed_with(v201, operator):
    await _deleted(v201, operator, "Accepted")


async def test_TC_M_21_deleting_fails(v201, operator):
    await _deleted(v201, operator, "Failed")


# O: display


def message(**fields: Any) -> dict[str, Any]:
    return {"priority": "NormalCycle", "message": {"format": "UTF8", "language": "en", "content": "Hello"}} | fields


async def shows(station: Station, operator: Operator, made: dict[str, Any], status: str = "Accepted") -> int:
    """The message goes out as given, with an id of the system's where it has none; the id."""
    asked, outcome = await operator.exchange(station, "SetDisplayMessage", {"message": made}, {"status": status})
    number = asked["message"]["id"]
    assert asked == {"message": made | {"id": number}} and outcome["response"] == {"status": status}
    return number


async def lists(station: Station, operator: Operator, *, found: int = 1, **criteria: Any) -> None:
    answer = {"status": "Accepted" if found else "Unknown"}
    number = await numbered(operator, station, "GetDisplayMessages", criteria, answer)
    for part in range(found):
        told = {"requestId": number, "tbc": part < found - 1, "messageInfo": [message(id=part + 1)]}
        assert await station.call("NotifyDisplayMessages", told) == {}
    said = await operator.items(f"/stations/{station.identity}/display-messages")
    assert {each["data"]["id"] for each in said} == set(range(1, found + 1))


async def test_TC_O_01_message_is_set(v201, operator):
    await shows(v201, operator, message())


async def test_TC_O_02_all_messages(v201, operator):
    await lists(v201, operator, found=2)


async def test_TC_O_03_there_are_no_messages(v201, operator):
    await lists(v201, operator, found=0)


async def test_TC_O_04_message_is_cleared(v201, operator):
    number = await shows(v201, operator, message())
    await asks(operator, v201, "ClearDisplayMessage", {"id": number})


async def test_TC_O_05_unknown_message_is_cleared(v201, operator):
    answer = {"status": "Unknown"}
    assert await asks(operator, v201, "ClearDisplayMessage", {"id": 4711}, answer) == answer


async def test_TC_O_06_message_for_a_transaction(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await shows(v201, operator, message(transactionId=transaction.id))


async def test_TC_O_07_message_by_id(v201, operator):
    await lists(v201, operator, id=[1])


async def test_TC_O_08_messages_by_priority(v201, operator):
    await lists(v201, operator, priority="NormalCycle")


async def test_TC_O_09_messages_by_state(v201, operator):
    await lists(v201, operator, state="Charging")


async def test_TC_O_10_message_for_an_unknown_transaction(v201, operator):
    await shows(v201, operator, message(transactionId="T-NONE"), "UnknownTransaction")


async def test_TC_O_11_unknown_message_by_id(v201, operator):
    await lists(v201, operator, found=0, id=[4711])


async def test_TC_O_12_message_is_replaced(v201, operator):
    number = await shows(v201, operator, message())
    assert await shows(v201, operator, message(id=number, priority="InFront")) == number


async def test_TC_O_13_message_from_a_time_on(v201, operator):
    await shows(v201, operator, message(startDateTime=later(1)))


async def test_TC_O_14_message_until_a_time(v201, operator):
    await shows(v201, operator, message(endDateTime=later(1)))


async def test_TC_O_17_priority_is_not_supported(v201, operator):
    await shows(v201, operator, message(priority="AlwaysFront"), "NotSupportedPriority")


async def test_TC_O_18_state_is_not_supported(v201, operator):
    await shows(v201, operator, message(state="Faulted"), "NotSupportedState")


async def test_TC_O_19_format_is_not_supported(v201, operator):
    html = {"format": "HTML", "content": "<b>Hello</b>"}
    await shows(v201, operator, message(message=html), "NotSupportedMessageFormat")


async def test_TC_O_25_message_in_a_state(v201, operator):
    await shows(v201, operator, message(state="Charging"))


async def test_TC_O_26_message_is_refused(v201, operator):
    await shows(v201, operator, message(), "Rejected")


async def test_TC_O_27_message_in_a_transaction_from_a_time_on(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await shows(v201, operator, message(transactionId=transaction.id, startDateTime=later(1)))


async def test_TC_O_28_message_in_a_transaction_until_a_time(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await shows(v201, operator, message(transactionId=transaction.id, endDateTime=later(1)))
