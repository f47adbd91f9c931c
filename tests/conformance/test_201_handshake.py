"""OCPP 2.0.1 cases A_01 to A_08, B_01, B_02, B_30, B_58 and those of 1.6 about the handshake."""

from __future__ import annotations

import ssl

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from tests import pki
from tests.conformance.conftest import System
from tests.conformance.station import CallError, Station
from tests.pki import DAY, kept

REFUSED = (ssl.SSLError, ConnectionError, EOFError, InvalidMessage)


def trusting(system: System, **options) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(system.root))
    for name, value in options.items():
        setattr(context, name, value)
    return context


async def secured(system: System, make_station, version: str, profile: int, **options) -> Station:
    station = await make_station(version, connect=False)
    station.url = system.url(profile)
    station.tls = trusting(system, **options)
    return station


def with_certificate(system: System, station: Station, tmp_path, **options) -> None:
    """Let the station show a certificate instead of a password."""
    made = system.stations.station(options.pop("common", station.identity), **options)
    station.tls = trusting(system)
    station.tls.load_cert_chain(str(kept(tmp_path, "client.pem", made)))
    station.password = None


async def refused(station: Station) -> int:
    with pytest.raises(InvalidStatus) as answer:
        await station.connect()
    return answer.value.response.status_code


# Basic credentials


async def test_TC_A_01_valid_credentials(make_station):
    await make_station("2.0.1")


async def test_TC_A_02_user_name_of_another_station(make_station):
    station = await make_station("2.0.1", connect=False)
    other = await make_station("2.0.1", connect=False)
    station.password = other.password
    with pytest.raises(InvalidStatus) as answer:
        await connect(
            f"{station.url}/{station.identity}", subprotocols=["ocpp2.0.1"], proxy=None,
            additional_headers=station.credentials(other.identity),
        )  # fmt: skip
    assert answer.value.response.status_code == 401


async def test_TC_A_03_wrong_password(make_station):
    station = await make_station("2.0.1", connect=False)
    right, station.password = station.password, "wrong-wrong-wrong-wrong"
    assert await refused(station) == 401
    station.password = right
    await station.connect()
    assert (await station.boot())["status"] == "Accepted"


async def test_TC_085_basic_credentials(make_station):
    station = await make_station("1.6")
    await station.close()
    right, station.password = station.password, "0123456789abcdef"
    assert await refused(station) == 401
    station.password = right
    await station.connect()


# TLS


@pytest.mark.parametrize(
    "suite",
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-GCM-SHA384"],
)
async def test_TC_A_04_server_certificate_in_each_suite(system, make_station, suite):
    station = await secured(system, make_station, "2.0.1", 2, maximum_version=ssl.TLSVersion.TLSv1_2)
    station.tls.set_ciphers(suite)
    await station.connect()
    shown = station._socket.transport.get_extra_info("peercert")
    assert (("commonName", "localhost"),) in shown["subject"] and shown["serialNumber"]
    assert (await station.boot())["status"] == "Accepted"


async def test_TC_086_server_certificate(system, make_station):
    station = await secured(system, make_station, "1.6", 2)
    await station.connect()
    assert (await station.boot())["status"] == "Accepted"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_TC_A_06_tls_that_is_too_old(system, make_station):
    station = await secured(system, make_station, "2.0.1", 2)
    good = station.tls
    station.tls = trusting(system)
    station.tls.set_ciphers("ALL:@SECLEVEL=0")
    station.tls.minimum_version = ssl.TLSVersion.TLSv1
    station.tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(REFUSED):
        await station.connect()
    station.tls = good
    await station.connect()
    assert (await station.boot())["status"] == "Accepted"


@pytest.mark.parametrize("version", ["2.0.1"])
async def test_TC_A_07_good_client_certificate(system, make_station, tmp_path, version):
    station = await secured(system, make_station, version, 3)
    with_certificate(system, station, tmp_path)
    await station.connect()
    assert (await station.boot(serialNumber=station.identity))["status"] == "Accepted"


async def test_TC_087_client_certificate(system, make_station, tmp_path):
    station = await secured(system, make_station, "1.6", 3)
    with_certificate(system, station, tmp_path)
    await station.connect()
    assert (await station.boot())["status"] == "Accepted"


async def test_TC_A_08_bad_client_certificates_then_a_good_one(system, make_station, tmp_path):
    station = await secured(system, make_station, "2.0.1", 3)
    foreign = pki.Authority("Foreign").station(station.identity)
    station.tls.load_cert_chain(str(kept(tmp_path, "foreign.pem", foreign)))
    with pytest.raises(REFUSED):
        await station.connect()
    with_certificate(system, station, tmp_path, starts=-9 * DAY, ends=-DAY)
    with pytest.raises(REFUSED):
        await station.connect()
    with_certificate(system, station, tmp_path, common="ANOTHER")
    assert await refused(station) == 403
    with_certificate(system, station, tmp_path)
    await station.connect()
    assert (await station.boot())["status"] == "Accepted"


# The conversation begins


async def test_TC_B_01_boot_accepted(make_station):
    station = await make_station("2.0.1", boot=False)
    boot = await station.boot()
    assert boot["status"] == "Accepted" and boot["interval"] > 0
    for evse in (1, 2):
        assert await station.status("Available", evse) == {}
    assert "currentTime" in await station.call("Heartbeat")


async def test_TC_B_02_boot_pending_then_accepted(make_station, operator):
    station = await make_station("2.0.1", boot=False, admission="pending")
    boot = await station.boot()
    assert boot["status"] == "Pending" and boot["interval"] > 0
    await operator.put_station(station.identity, admission="accepted")
    assert (await station.boot())["status"] == "Accepted"
    assert "currentTime" in await station.call("Heartbeat")


async def test_TC_B_30_what_comes_before_acceptance_is_refused(make_station):
    station = await make_station("2.0.1", boot=False, admission="pending")
    assert (await station.boot())["status"] == "Pending"
    with pytest.raises(CallError) as refusal:
        await station.call("Heartbeat")
    assert refusal.value.code == "SecurityError"


async def test_TC_B_58_subprotocols(make_station):
    station = await make_station("2.0.1", connect=False)
    headers = station.credentials()
    url = f"{station.url}/{station.identity}"
    with pytest.raises(InvalidStatus) as answer:
        await connect(url, subprotocols=["ocpp0.1"], additional_headers=headers, proxy=None)
    assert answer.value.response.status_code == 400
    async with connect(url, subprotocols=["ocpp0.1", "ocpp2.0.1"], additional_headers=headers, proxy=None) as socket:
        assert socket.subprotocol == "ocpp2.0.1"


async def test_TC_088_subprotocol(make_station):
    station = await make_station("1.6", connect=False)
    await station.connect()
    assert station._socket.response.headers.get_all("Sec-WebSocket-Protocol") == ["ocpp1.6"]


# Data transfer


async def test_TC_P_02_data_of_an_unknown_vendor(v201):
    answer = await v201.call("DataTransfer", {"vendorId": "com.unknown.vendor", "messageId": "X"})
    assert answer["status"] == "UnknownVendorId"


async def test_TC_P_03_custom_data_is_tolerated(v201):
    custom = {"vendorId": "com.unknown.vendor", "anything": {"deep": [1]}}
    about = {"vendorName": "V", "model": "M", "customData": custom}
    boot = {"reason": "PowerUp", "chargingStation": about, "customData": custom}
    assert (await v201.call("BootNotification", boot))["status"] == "Accepted"


async def test_TC_G_20_lock_failure_is_notified(v201):
    event = {
        "eventId": 1, "timestamp": "2026-01-01T00:00:00Z", "trigger": "Alerting", "actualValue": "true",
        "eventNotificationType": "HardWiredNotification", "component": {"name": "ConnectorPlugRetentionLock",
        "evse": {"id": 1, "connectorId": 1}}, "variable": {"name": "Problem"},
    }  # fmt: skip
    told = {"generatedAt": "2026-01-01T00:00:00Z", "seqNo": 0, "eventData": [event]}
    assert await v201.call("NotifyEvent", told) == {}
