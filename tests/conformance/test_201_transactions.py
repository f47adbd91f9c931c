"""OCPP 2.0.1 cases of blocks E (transactions) and J (meter values) in which the station begins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.operator import Operator
from tests.conformance.station import Station, now
from tests.conformance.transactions import Transaction, id_token

STARTS = {  # What makes a transaction start (TxStartPoint), and the state of charging it starts in.
    "E_01": ("ChargingStateChanged", "Charging", True),  # PowerPathClosed
    "E_02": ("ChargingStateChanged", "Charging", True),  # EnergyTransfer
    "E_09": ("CablePluggedIn", "EVConnected", False),  # EVConnected
    "E_10": ("Authorized", None, True),  # Authorized
    "E_11": ("SignedDataReceived", "EVConnected", True),  # DataSigned
    "E_12": ("EVDetected", None, False),  # ParkingBayOccupancy
}
STOPS = {  # What makes it stop (TxStopPoint): trigger and reason.
    "E_07": ("ChargingStateChanged", "Local", "EVConnected"),  # PowerPathClosed
    "E_08": ("ChargingStateChanged", "Local", "EVConnected"),  # EnergyTransfer
    "E_14": ("StopAuthorized", "Local", "EVConnected"),  # EVConnected, station side
    "E_15": ("StopAuthorized", "Local", "EVConnected"),  # Authorized, local
    "E_19": ("EVDeparted", "Local", "Idle"),  # ParkingBayOccupancy
    "E_20": ("EVCommunicationLost", "EVDisconnected", "Idle"),  # EVConnected, car side
    "E_22": ("ChargingStateChanged", "StoppedByEV", "SuspendedEV"),  # After the car suspended
}


async def _start(station: Station, token: str, case: str) -> None:
    trigger, state, identified = STARTS[case]
    transaction = Transaction(station)
    answer = await transaction.started(trigger, state=state, token=token if identified else None)
    assert answer.get("idTokenInfo", {}).get("status") == ("Accepted" if identified else None)
    if not identified:
        assert (await transaction.updated("Authorized", token=token))["idTokenInfo"]["status"] == "Accepted"
    await transaction.updated("ChargingStateChanged", state="Charging")
    await transaction.ended()


async def _stop(station: Station, operator: Operator, token: str, case: str) -> None:
    trigger, reason, state = STOPS[case]
    transaction = Transaction(station)
    await transaction.started("Authorized", token=token)
    await transaction.updated("ChargingStateChanged", state="Charging")
    if case == "E_22":
        await transaction.updated("ChargingStateChanged", state="SuspendedEV")
    answer = await transaction.ended(trigger, reason=reason, state=state, token=token)
    assert answer["idTokenInfo"]["status"] == "Accepted"
    assert (await operator.session(station))["stop_reason"] == reason


async def test_TC_E_01_start_when_the_power_path_closes(v201, token):
    await _start(v201, token, "E_01")


async def test_TC_E_02_start_with_energy(v201, token):
    await _start(v201, token, "E_02")


async def test_TC_E_03_plug_first(v201, token):
    await v201.status("Occupied")
    transaction = Transaction(v201)
    await transaction.started("CablePluggedIn", state="EVConnected")
    assert await transaction.authorize(token) == "Accepted"
    assert (await transaction.updated("Authorized", token=token))["idTokenInfo"]["status"] == "Accepted"
    await transaction.updated("ChargingStateChanged", state="Charging")


async def test_TC_E_04_authorise_first(v201, token):
    transaction = Transaction(v201)
    assert await transaction.authorize(token) == "Accepted"
    assert (await transaction.started("Authorized", token=token))["idTokenInfo"]["status"] == "Accepted"
    await v201.status("Occupied")
    await transaction.updated("CablePluggedIn", state="EVConnected")
    await transaction.updated("ChargingStateChanged", state="Charging")


async def test_TC_E_07_stop_when_the_power_path_opens(v201, operator, token):
    await _stop(v201, operator, token, "E_07")


async def test_TC_E_08_stop_with_energy(v201, operator, token):
    await _stop(v201, operator, token, "E_08")


async def test_TC_E_09_start_with_the_cable(v201, token):
    await _start(v201, token, "E_09")


async def test_TC_E_10_start_when_authorized(v201, token):
    await _start(v201, token, "E_10")


async def test_TC_E_11_start_with_signed_data(v201, token):
    await _start(v201, token, "E_11")


async def test_TC_E_12_start_when_a_car_parks(v201, token):
    await _start(v201, token, "E_12")


async def test_TC_E_14_stop_by_the_station_while_connected(v201, operator, token):
    await _stop(v201, operator, token, "E_14")


async def test_TC_E_15_stop_authorized_locally(v201, operator, token):
    await _stop(v201, operator, token, "E_15")


@pytest.mark.parametrize("value", ["NOBODY", "BLOCKED"])
async def test_TC_E_16_bad_token_ends_it(v201, operator, value):
    if value == "BLOCKED":
        await operator.put_token(value, status="blocked")
    transaction = Transaction(v201)
    answer = await transaction.started("Authorized", token=value)
    assert answer["idTokenInfo"]["status"] == {"NOBODY": "Unknown", "BLOCKED": "Blocked"}[value]
    await transaction.ended("Deauthorized", reason="DeAuthorized")
    assert (await operator.session(v201))["stop_reason"] == "DeAuthorized"


async def test_TC_E_17_car_unplugs_after_a_bad_token(v201, operator):
    transaction = Transaction(v201)
    assert (await transaction.started("Authorized", token="NOBODY"))["idTokenInfo"]["status"] == "Unknown"
    await transaction.updated("Deauthorized", state="EVConnected")
    await transaction.ended("EVCommunicationLost", reason="DeAuthorized", state="Idle")
    await v201.status("Available")
    assert (await operator.session(v201))["stop_reason"] == "DeAuthorized"


async def test_TC_E_19_stop_when_the_car_leaves(v201, operator, token):
    await _stop(v201, operator, token, "E_19")


async def test_TC_E_20_stop_by_the_car(v201, operator, token):
    await _stop(v201, operator, token, "E_20")


async def test_TC_E_22_stop_after_the_car_suspended(v201, operator, token):
    await _stop(v201, operator, token, "E_22")


async def test_TC_E_26_unplugging_suspends(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await transaction.updated("ChargingStateChanged", state="Charging")
    await transaction.updated("EVCommunicationLost", state="Idle")
    assert (await operator.session(v201))["ended_at"] is None
    await transaction.updated("CablePluggedIn", state="EVConnected")
    await transaction.updated("ChargingStateChanged", state="Charging")
    await transaction.ended()


async def test_TC_E_38_car_is_not_ready(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await transaction.updated("CablePluggedIn", state="EVConnected")
    await transaction.updated("ChargingStateChanged", state="SuspendedEV")
    assert (await operator.session(v201))["phase"] == "suspended"


async def test_TC_E_39_nobody_plugs_in(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await transaction.ended("EVConnectTimeout", reason="Timeout")
    assert (await operator.session(v201))["stop_reason"] == "Timeout"


async def test_TC_E_53_sequence_numbers_start_anew_with_each_transaction(v201, operator, token):
    for _ in range(2):
        transaction = Transaction(v201)
        await transaction.started("Authorized", token=token)
        await transaction.updated("ChargingStateChanged", state="Charging")
        await transaction.ended()
    sessions = await operator.items("/sessions", station_id=v201.identity)
    assert [session["ended_at"] is not None for session in sessions] == [True, True]


async def test_TC_I_02_final_cost(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    assert (await transaction.ended())["totalCost"] == 0.0


# Meter values

SIGNED = {
    "signedMeterData": "T0NNRnx7fXx7fQ==", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "cHVibGlj",
}  # fmt: skip


def values(context: str, *, signed: bool = False) -> list[dict[str, Any]]:
    sample: dict[str, Any] = {"value": 1000.5, "context": context, "measurand": "Energy.Active.Import.Register"}
    if signed:
        sample["signedMeterValue"] = SIGNED
    return [{"timestamp": now(), "sampledValue": [sample]}]


async def test_TC_J_01_aligned_while_idle(v201, operator):
    for evse in (0, 1):
        told = {"evseId": evse, "meterValue": values("Sample.Clock")}
        assert await v201.call("MeterValues", told) == {}
    assert await operator.items("/sessions", station_id=v201.identity) == []


async def _metered(station: Station, operator: Operator, token: str, context: str, **options: Any) -> None:
    transaction = Transaction(station)
    evse = options.pop("evse", 1)
    at_start = options.pop("at_start", False)
    first = values("Transaction.Begin", **options) if at_start else None
    await transaction.started("Authorized", token=token, evse=evse, meterValue=first)
    if context in ("Sample.Clock", "Sample.Periodic"):
        trigger = "MeterValueClock" if context == "Sample.Clock" else "MeterValuePeriodic"
        await transaction.updated(trigger, meterValue=values(context, **options), evse=evse or 1)
    last = values(context if context == "Transaction.End" else "Transaction.End", **options)
    answer = await transaction.ended(meterValue=last)
    assert "totalCost" in answer
    session = await operator.session(station)
    readings = await operator.items(f"/sessions/{session['id']}/samples")
    assert readings and all(reading["register_wh"] == 1000.5 for reading in readings)
    if options.get("signed"):
        signed = readings[-1]["readings"][0]["signed"]
        assert (signed["data"], signed["public_key"]) == (SIGNED["signedMeterData"], SIGNED["publicKey"])


async def test_TC_J_02_aligned_in_a_transaction(v201, operator, token):
    await _metered(v201, operator, token, "Sample.Clock")


async def test_TC_J_03_aligned_at_the_end(v201, operator, token):
    await _metered(v201, operator, token, "Transaction.End")


async def test_TC_J_04_aligned_and_signed(v201, operator, token):
    await _metered(v201, operator, token, "Sample.Clock", signed=True)


async def test_TC_J_07_sampled_at_the_start(v201, operator, token):
    await _metered(v201, operator, token, "Transaction.End", at_start=True)


async def test_TC_J_08_sampled_at_the_start_without_an_evse(v201, operator, token):
    await _metered(v201, operator, token, "Sample.Periodic", at_start=True, evse=None)


async def test_TC_J_09_sampled_meanwhile(v201, operator, token):
    await _metered(v201, operator, token, "Sample.Periodic")


async def test_TC_J_10_sampled_at_the_end(v201, operator, token):
    await _metered(v201, operator, token, "Transaction.End")


async def test_TC_J_11_sampled_and_signed(v201, operator, token):
    await _metered(v201, operator, token, "Sample.Periodic", signed=True, at_start=True)


# Authorization within transactions


async def test_TC_C_02_invalid_or_unknown_token(v201):
    assert await Transaction(v201).authorize("NOBODY") in ("Invalid", "Unknown")


async def test_TC_C_06_blocked_token(v201, operator, token):
    await operator.put_token(token, status="blocked")
    assert await Transaction(v201).authorize(token) == "Blocked"


async def test_TC_C_07_expired_token(v201, operator, token):
    await operator.put_token(token, expires_at="2020-01-01T00:00:00Z")
    assert await Transaction(v201).authorize(token) == "Expired"


async def test_TC_C_08_cached_token_is_still_valid(v201, token):
    answer = await Transaction(v201).started("Authorized", token=token)  # No Authorize came before.
    assert answer["idTokenInfo"]["status"] == "Accepted"


async def test_TC_C_20_cached_token_is_invalid_by_now(v201, operator, token):
    await operator.put_token(token, status="invalid")
    transaction = Transaction(v201)
    assert (await transaction.started("Authorized", token=token))["idTokenInfo"]["status"] == "Invalid"
    await transaction.ended("Deauthorized", reason="DeAuthorized")


async def test_TC_C_39_group_is_told_everywhere(v201, operator, token):
    await operator.put_token(token, group="GROUP1")
    await operator.put_token(token + "B", group="GROUP1")
    group = {"idToken": "GROUP1", "type": "Central"}
    info = (await v201.call("Authorize", {"idToken": id_token(token)}))["idTokenInfo"]
    assert info == {"status": "Accepted", "groupIdToken": group}
    transaction = Transaction(v201)
    assert (await transaction.started("Authorized", token=token))["idTokenInfo"]["groupIdToken"] == group
    info = (await v201.call("Authorize", {"idToken": id_token(token + "B")}))["idTokenInfo"]
    assert info["groupIdToken"] == group
    answer = await transaction.ended("StopAuthorized", token=token + "B")
    assert answer["idTokenInfo"] == {"status": "Accepted", "groupIdToken": group}
