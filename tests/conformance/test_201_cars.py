"""OCPP 2.0.1 cases of block K in which a car talks (ISO 15118): K_53, K_55, K_57 to K_59."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.operator import Operator
from tests.conformance.station import Payload, Station, now
from tests.conformance.transactions import Transaction

DC = {"evMaxCurrent": 250, "evMaxVoltage": 400, "evMaxPower": 100_000, "energyAmount": 40_000, "stateOfCharge": 20}


def _in(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds").replace("+00:00", "Z")


async def _charging(station: Station, token: str) -> Transaction:
    transaction = Transaction(station)
    await transaction.started("Authorized", token=token, state="EVConnected")
    await transaction.updated("ChargingStateChanged", state="Charging")
    return transaction


async def _needs(station: Station, transaction: Transaction, **needs: Any) -> Payload:
    """The car tells its needs; the profile that the system answers them with."""
    wanted = {"requestedEnergyTransfer": "DC", "dcChargingParameters": DC} | needs
    answer = await station.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": wanted})
    assert answer == {"status": "Accepted"}
    return _profile(await station.asked("SetChargingProfile"), transaction)


def _profile(asked: Payload, transaction: Transaction) -> Payload:
    profile = asked["chargingProfile"]
    assert asked["evseId"] == 1 and profile["chargingProfilePurpose"] == "TxProfile"
    assert profile["transactionId"] == transaction.id and profile["chargingProfileKind"] == "Absolute"
    (plan,) = profile["chargingSchedule"]
    assert plan["startSchedule"] and plan["chargingSchedulePeriod"][0]["startPeriod"] == 0
    return profile


def _limit(profile: Payload) -> float:
    return profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"]


async def _plans(station: Station, limit: float) -> Payload:
    plan = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return await station.call("NotifyEVChargingSchedule", {"timeBase": now(), "evseId": 1, "chargingSchedule": plan})


async def test_TC_K_53_load_levelling(v201, operator: Operator, token):
    transaction = await _charging(v201, token)
    profile = await _needs(v201, transaction, departureTime=_in(4))
    assert profile["chargingSchedule"][0]["chargingRateUnit"] == "W"
    assert 10_000 <= _limit(profile) <= 12_000, "40 kWh in four hours, and what is lost on the way"
    assert (await _plans(v201, _limit(profile)))["status"] == "Accepted"
    await transaction.ended()


@pytest.mark.parametrize("needs", [{}, {"departureTime": _in(4)}], ids=["at once", "levelled"])
async def test_TC_K_55_plan_of_the_car_exceeds_its_limits(v201, operator: Operator, token, needs):
    transaction = await _charging(v201, token)
    profile = await _needs(v201, transaction, **needs)
    await _settled(operator, v201, 1)
    answer = await _plans(v201, _limit(profile) + 10_000)
    assert answer["status"] == "Rejected"
    again = _profile(await v201.asked("SetChargingProfile"), transaction)
    assert again["id"] == profile["id"] and _limit(again) == pytest.approx(_limit(profile), rel=0.01)
    assert (await _plans(v201, _limit(profile)))["status"] == "Accepted"


async def test_TC_K_57_car_renegotiates(v201, operator: Operator, token):
    transaction = await _charging(v201, token)
    first = await _needs(v201, transaction, departureTime=_in(4))
    second = await _needs(v201, transaction, departureTime=_in(2))
    assert second["id"] == first["id"], "it replaces the one before"
    assert _limit(second) > 1.8 * _limit(first)
    await _settled(operator, v201, 2)
    assert (await _plans(v201, _limit(second)))["status"] == "Accepted"


async def _renegotiated(station: Station, operator: Operator, token: str) -> Transaction:
    """The operator grants less while the car charges."""
    transaction = await _charging(station, token)
    profile = await _needs(station, transaction)
    profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] = 20_000.0
    await _settled(operator, station, 1)
    request = {"evseId": 1, "chargingProfile": profile}
    asked, outcome = await operator.exchange(station, "SetChargingProfile", request)
    assert asked == request and outcome["response"] == {"status": "Accepted"}
    return transaction


async def test_TC_K_58_system_renegotiates(v201, operator: Operator, token):
    await _renegotiated(v201, operator, token)
    assert (await _plans(v201, 20_000))["status"] == "Accepted"


async def test_TC_K_59_system_renegotiates_and_the_car_tells_new_needs(v201, operator: Operator, token):
    transaction = await _renegotiated(v201, operator, token)
    profile = await _needs(v201, transaction, dcChargingParameters=DC | {"evMaxPower": 50_000})
    assert _limit(profile) == 50_000
    await _settled(operator, v201, 3)
    assert (await _plans(v201, 50_000))["status"] == "Accepted"


async def test_needs_of_ac_are_met_in_amperes(v201, operator: Operator, token):
    transaction = await _charging(v201, token)
    ac = {"energyAmount": 11_000, "evMinCurrent": 6, "evMaxCurrent": 32, "evMaxVoltage": 400}
    needs = {"requestedEnergyTransfer": "AC_three_phase", "acChargingParameters": ac, "departureTime": _in(1)}
    answer = await v201.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
    assert answer == {"status": "Accepted"}
    profile = _profile(await v201.asked("SetChargingProfile"), transaction)
    (plan,) = profile["chargingSchedule"]
    assert plan["chargingRateUnit"] == "A" and plan["chargingSchedulePeriod"][0]["numberPhases"] == 3
    assert _limit(profile) == pytest.approx(17.5, abs=0.2)


async def _settled(operator: Operator, station: Station, number: int) -> None:
    """So many profiles were taken, on record."""
    async with asyncio.timeout(10):
        while True:
            wanted = {"station_id": station.identity, "action": "SetChargingProfile", "status": "answered"}
            found = await operator.items("/commands", **wanted)
            if len(found) >= number:
                return
            await asyncio.sleep(0.01)


async def test_car_in_a_session_that_is_not_authorised_gets_no_profile(v201):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token="NOBODY-KNOWS", state="EVConnected")
    wanted = {"requestedEnergyTransfer": "DC", "dcChargingParameters": DC}
    answer = await v201.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": wanted})
    assert answer["status"] == "Rejected"
    await transaction.ended()
