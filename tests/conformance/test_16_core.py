"""OCPP 1.6 cases of the core profile in which the station begins."""

from __future__ import annotations

from tests.conformance.operator import Operator
from tests.conformance.station import Station, now


async def charged(station: Station, token: str, *, connector: int = 1, reason: str | None = "Local") -> int:
    """A session from start to stop; its transaction id."""
    begun = await start(station, token, connector=connector)
    assert begun["idTagInfo"]["status"] == "Accepted"
    await station.status("Charging", connector)
    await stop(station, begun["transactionId"], token, reason=reason)
    return begun["transactionId"]


async def start(station: Station, token: str, *, connector: int = 1, at: str | None = None, **fields) -> dict:
    said = {"connectorId": connector, "idTag": token, "meterStart": 0, "timestamp": at or now()}
    return await station.call("StartTransaction", said | fields)


async def stop(
    station: Station, transaction: int, token: str | None = None, *, reason: str | None = None, **fields
) -> dict:
    said = {"transactionId": transaction, "meterStop": 1500, "timestamp": now()}
    said |= {"idTag": token} if token else {}
    said |= {"reason": reason} if reason else {}
    return await station.call("StopTransaction", said | fields)


async def authorized(station: Station, token: str) -> str:
    return (await station.call("Authorize", {"idTag": token}))["idTagInfo"]["status"]


async def test_TC_001_cold_boot(make_station):
    station = await make_station("1.6", boot=False)
    boot = await station.boot()
    assert boot["status"] == "Accepted" and boot["interval"] > 0 and boot["currentTime"].endswith("Z")
    for connector in (0, 1, 2):
        assert await station.status("Available", connector) == {}
    assert "currentTime" in await station.call("Heartbeat")


async def test_TC_003_regular_session_plug_first(v16: Station, operator: Operator, token):
    await v16.status("Preparing")
    assert await authorized(v16, token) == "Accepted"
    await charged(v16, token)
    await v16.status("Finishing")
    await v16.status("Available")
    session = await operator.session(v16)
    assert (session["energy_wh"], session["stop_reason"], session["token"]) == (1500, "Local", token)
    assert session["ended_at"] is not None


async def test_TC_004_1_regular_session_identify_first(v16: Station, token):
    assert await authorized(v16, token) == "Accepted"
    await v16.status("Preparing")
    await charged(v16, token)


async def test_TC_004_2_identification_without_plugging_in(v16: Station, operator: Operator, token):
    assert await authorized(v16, token) == "Accepted"
    await v16.status("Preparing")
    await v16.status("Available")
    assert await operator.items("/sessions", station_id=v16.identity) == []


async def test_TC_005_1_car_side_disconnects(v16: Station, token):
    await authorized(v16, token)
    begun = await start(v16, token)
    await v16.status("Charging")
    await v16.status("SuspendedEV")
    assert await stop(v16, begun["transactionId"], token, reason="EVDisconnected") == {
        "idTagInfo": {"status": "Accepted"}
    }
    await v16.status("Finishing")
    await v16.status("Available")


async def test_TC_007_cached_id_is_checked_again_at_start(v16: Station, token):
    await v16.status("Preparing")
    begun = await start(v16, token)  # No Authorize came before.
    assert begun["idTagInfo"]["status"] == "Accepted" and begun["transactionId"] > 0
    assert await stop(v16, begun["transactionId"], token) == {"idTagInfo": {"status": "Accepted"}}


async def test_TC_023_1_invalid_id(v16: Station):
    assert await authorized(v16, "NOBODY") == "Invalid"


async def test_TC_023_2_expired_id(v16: Station, operator: Operator, token):
    await operator.put_token(token, expires_at="2020-01-01T00:00:00Z")
    assert await authorized(v16, token) == "Expired"


async def test_TC_023_3_blocked_id(v16: Station, operator: Operator, token):
    await operator.put_token(token, status="blocked")
    assert await authorized(v16, token) == "Blocked"


async def test_TC_024_connector_lock_failure(v16: Station, operator: Operator, token):
    assert await authorized(v16, token) == "Accepted"
    assert await v16.status("Faulted", errorCode="ConnectorLockFailure") == {}
    (connector,) = (await operator.get(f"/stations/{v16.identity}"))["connectors"]
    assert (connector["status"], connector["error_code"]) == ("faulted", "ConnectorLockFailure")


async def test_TC_032_1_power_failure_then_stop(v16: Station, operator: Operator, token):
    begun = await start(v16, token)
    await v16.reconnect(boot=True)
    await v16.status("Available")
    await stop(v16, begun["transactionId"], reason="PowerLoss")
    assert (await operator.session(v16))["stop_reason"] == "PowerLoss"


async def test_TC_037_1_offline_start_with_a_valid_id(v16: Station, operator: Operator, token):
    begun = await start(v16, token, at="2026-01-01T10:00:00Z")
    assert begun["idTagInfo"]["status"] == "Accepted" and begun["transactionId"] > 0
    assert (await operator.session(v16))["started_at"] == "2026-01-01T10:00:00Z"


async def test_TC_037_3_offline_start_with_an_invalid_id(v16: Station, operator: Operator):
    begun = await start(v16, "NOBODY", at="2026-01-01T10:00:00Z")
    assert begun["idTagInfo"]["status"] == "Invalid" and begun["transactionId"] > 0
    await stop(v16, begun["transactionId"], reason="DeAuthorized")
    assert (await operator.session(v16))["stop_reason"] == "DeAuthorized"


async def test_TC_039_whole_session_offline(v16: Station, operator: Operator, token):
    begun = await start(v16, token, at="2026-01-01T10:00:00Z")
    await stop(v16, begun["transactionId"], token, reason="Local", timestamp="2026-01-01T11:00:00Z")
    session = await operator.session(v16)
    assert (session["started_at"], session["ended_at"]) == ("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z")
    assert session["energy_wh"] == 1500


async def test_TC_064_data_transfer_of_an_unknown_vendor(v16: Station):
    answer = await v16.call("DataTransfer", {"vendorId": "com.unknown.vendor", "messageId": "X", "data": "1"})
    assert answer["status"] == "UnknownVendorId"
