"""OCPP 2.0.1 cases of block K: charging profiles, limits of others, and what cars want."""

from __future__ import annotations

from typing import Any

from tests.conformance.operator import Operator
from tests.conformance.station import Refusal, Station, now
from tests.conformance.test_201_operator import asks, later, numbered
from tests.conformance.transactions import Transaction, id_token


def profile(purpose: str = "TxDefaultProfile", kind: str = "Absolute", *, limit: float = 6.0, **fields: Any) -> dict:
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    made = {"stackLevel": 0, "chargingProfilePurpose": purpose, "chargingProfileKind": kind}
    if kind == "Absolute":
        schedule |= {"duration": 86400, "startSchedule": later(0)}
        made |= {"validFrom": later(0), "validTo": later(24)}
    if kind == "Recurring":
        schedule |= {"duration": 86400, "startSchedule": later(0)}
        made |= {"recurrencyKind": "Daily"}
    return made | {"chargingSchedule": [schedule]} | fields


async def installs(station: Station, operator: Operator, evse: int, made: dict, answer: str = "Accepted") -> int:
    """The profile goes out as given, with an id of the system's where it has none; the id."""
    payload = {"evseId": evse, "chargingProfile": made}
    asked, outcome = await operator.exchange(station, "SetChargingProfile", payload, {"status": answer})
    number = asked["chargingProfile"]["id"]
    assert asked == {"evseId": evse, "chargingProfile": made | {"id": number}}
    assert outcome["response"] == {"status": answer}
    return number


async def known(station: Station, operator: Operator) -> dict[int, dict]:
    found = await operator.items("/charging-profiles", station_id=station.identity)
    return {each["profile_id"]: each for each in found}


async def test_TC_K_01_default_profile_of_an_evse(v201, operator):
    number = await installs(v201, operator, 1, profile())
    assert (await known(v201, operator))[number]["evse_id"] == 1


async def test_TC_K_02_transaction_profile_without_a_transaction(v201, operator):
    await installs(v201, operator, 1, profile("TxProfile", transactionId="T-NONE"), "Rejected")
    assert await known(v201, operator) == {}


async def test_TC_K_03_station_maximum(v201, operator):
    await installs(v201, operator, 0, profile("ChargingStationMaxProfile"))


async def test_TC_K_04_profile_is_replaced_by_its_id(v201, operator):
    number = await installs(v201, operator, 1, profile())
    assert await installs(v201, operator, 1, profile(id=number, limit=10.0)) == number
    (only,) = (await known(v201, operator)).values()
    assert only["profile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 10.0


async def test_TC_K_05_cleared_by_id(v201, operator):
    number = await installs(v201, operator, 1, profile())
    await asks(operator, v201, "ClearChargingProfile", {"chargingProfileId": number})
    assert await known(v201, operator) == {}


async def test_TC_K_06_cleared_by_purpose_and_level(v201, operator):
    await installs(v201, operator, 1, profile())
    criteria = {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}
    await asks(operator, v201, "ClearChargingProfile", {"chargingProfileCriteria": criteria})
    assert await known(v201, operator) == {}


async def test_TC_K_08_nothing_to_clear(v201, operator):
    answer = {"status": "Unknown"}
    assert await asks(operator, v201, "ClearChargingProfile", {"chargingProfileId": 4711}, answer) == answer


async def test_TC_K_10_default_profile_of_all_evses(v201, operator):
    await installs(v201, operator, 0, profile())


async def test_TC_K_15_smart_charging_is_not_supported(v201, operator):
    payload = {"evseId": 1, "chargingProfile": profile(id=1)}
    _, outcome = await operator.exchange(v201, "SetChargingProfile", payload, Refusal("NotSupported"))
    assert (outcome["status"], outcome["error"]["code"]) == ("error", "NotSupported")
    assert "currentTime" in await v201.call("Heartbeat")


async def test_TC_K_19_recurring(v201, operator):
    await installs(v201, operator, 1, profile(kind="Recurring"))


async def _gets(
    station: Station, operator: Operator, criterion: dict[str, Any], *, source: str = "CSO", **fields: Any
) -> None:
    request = {"chargingProfile": criterion} | fields
    number = await numbered(operator, station, "GetChargingProfiles", request)
    for more in (True, False):
        told = {
            "requestId": number, "chargingLimitSource": source, "evseId": fields.get("evseId", 1), "tbc": more,
            "chargingProfile": [profile(id=1 if more else 2)],
        }  # fmt: skip
        assert await station.call("ReportChargingProfiles", told) == {}
    said = await operator.items(f"/stations/{station.identity}/reported-profiles")
    assert {each["data"]["chargingProfile"]["id"] for each in said} == {1, 2}
    assert {each["data"]["chargingLimitSource"] for each in said} == {source}


async def test_TC_K_29_profiles_of_the_station(v201, operator):
    await _gets(v201, operator, {}, evseId=0)


async def test_TC_K_30_profiles_of_an_evse(v201, operator):
    await _gets(v201, operator, {}, evseId=1)


async def test_TC_K_31_all_profiles(v201, operator):
    await _gets(v201, operator, {})


async def test_TC_K_32_profiles_by_id(v201, operator):
    await _gets(v201, operator, {"chargingProfileId": [1, 2]})


async def test_TC_K_33_profiles_by_level(v201, operator):
    await _gets(v201, operator, {"stackLevel": 0}, evseId=1)


async def test_TC_K_34_profiles_by_source(v201, operator):
    await _gets(v201, operator, {"chargingLimitSource": ["EMS"]}, source="EMS")


async def test_TC_K_35_profiles_by_purpose(v201, operator):
    await _gets(v201, operator, {"chargingProfilePurpose": "TxDefaultProfile"}, evseId=1)


async def test_TC_K_36_profiles_by_purpose_and_level(v201, operator):
    await _gets(v201, operator, {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}, evseId=1)


async def test_TC_K_37_remote_start_with_a_profile(v201, operator, token):
    made = profile("TxProfile", "Relative", id=5)
    assert "transactionId" not in made
    payload = {"idToken": id_token(token), "evseId": 1, "chargingProfile": made}
    asked, _ = await operator.exchange(v201, "RequestStartTransaction", payload)
    assert asked == payload | {"remoteStartId": asked["remoteStartId"]}


async def _composite(station: Station, operator: Operator, evse: int) -> None:
    request = {"duration": 300, "evseId": evse, "chargingRateUnit": "A"}
    schedule = {
        "evseId": evse, "duration": 300, "scheduleStart": now(), "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
    }  # fmt: skip
    answer = {"status": "Accepted", "schedule": schedule}
    assert await asks(operator, station, "GetCompositeSchedule", request, answer) == answer


async def test_TC_K_43_composite_schedule_of_an_evse(v201, operator):
    await _composite(v201, operator, 1)


async def test_TC_K_44_composite_schedule_of_the_station(v201, operator):
    await _composite(v201, operator, 0)


# Limits of others


async def _limited(station: Station, operator: Operator) -> None:
    limit = {"chargingLimitSource": "EMS", "isGridCritical": False}
    assert await station.call("NotifyChargingLimit", {"chargingLimit": limit, "evseId": 1}) == {}
    (said,) = await operator.items(f"/stations/{station.identity}/limits")
    assert said["data"]["chargingLimit"]["chargingLimitSource"] == "EMS"


async def test_TC_K_48_limit_of_others(v201, operator):
    await _limited(v201, operator)


async def test_TC_K_50_limit_of_others_is_gone_while_idle(v201, operator):
    await _limited(v201, operator)
    assert await v201.call("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1}) == {}
    assert await operator.items(f"/stations/{v201.identity}/limits") == []


async def test_TC_K_51_limit_of_others_is_gone_in_a_transaction(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await _limited(v201, operator)
    await transaction.updated("ChargingRateChanged", state="SuspendedEVSE")
    assert await v201.call("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1}) == {}
    await transaction.updated("ChargingRateChanged", state="Charging")


async def test_TC_K_52_limit_of_others_in_a_report(v201, operator):
    criterion = {"chargingLimitSource": ["EMS"], "chargingProfilePurpose": "ChargingStationExternalConstraints"}
    number = await numbered(operator, v201, "GetChargingProfiles", {"chargingProfile": criterion})
    made = profile("ChargingStationExternalConstraints", id=9)
    told = {
        "requestId": number, "chargingLimitSource": "EMS", "evseId": 0, "tbc": False, "chargingProfile": [made],
    }  # fmt: skip
    assert await v201.call("ReportChargingProfiles", told) == {}


async def test_TC_K_60_profile_of_a_running_transaction(v201, operator, token):
    transaction = Transaction(v201)
    await transaction.started("Authorized", token=token)
    await installs(v201, operator, 1, profile("TxProfile", transactionId=transaction.id))


async def test_TC_K_70_several_profiles(v201, operator):
    numbers = [await installs(v201, operator, 1, profile(stackLevel=level)) for level in (0, 1)]
    assert len(set(numbers)) == 2 and set(await known(v201, operator)) == set(numbers)
