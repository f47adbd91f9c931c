"""OCPP 2.0.1 cases of block N: monitors, events, logs and customer information."""

from __future__ import annotations

from typing import Any

from tests.conformance.operator import Operator
from tests.conformance.station import Station, now
from tests.conformance.test_201_operator import asks, numbered

POWER = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
STATE = {"component": {"name": "ChargingStation"}, "variable": {"name": "AvailabilityState"}}


async def _monitors(
    station: Station, operator: Operator, *, found: int = 2, first: int = 1, **criteria: Any
) -> None:  # fmt: skip
    status = {"status": "Accepted" if found else "EmptyResultSet"}
    number = await numbered(operator, station, "GetMonitoringReport", criteria, status)
    for seq in range(found):
        monitor = {"id": seq + first, "transaction": False, "value": 1.0, "type": "UpperThreshold", "severity": 4}
        told = {
            "requestId": number, "seqNo": seq, "tbc": seq < found - 1, "generatedAt": now(),
            "monitor": [POWER | {"variableMonitoring": [monitor]}],
        }  # fmt: skip
        assert await station.call("NotifyMonitoringReport", told) == {}
    said = await operator.items(f"/stations/{station.identity}/monitors")
    assert len(said) == found


async def test_TC_N_01_monitors_by_criteria(v201, operator):
    await _monitors(v201, operator, monitoringCriteria=["ThresholdMonitoring", "DeltaMonitoring"])


async def test_TC_N_02_monitors_of_a_variable(v201, operator):
    await _monitors(v201, operator, componentVariable=[POWER])


async def test_TC_N_03_monitors_by_both(v201, operator):
    await _monitors(v201, operator, monitoringCriteria=["ThresholdMonitoring"], componentVariable=[POWER])


async def test_TC_N_47_all_monitors(v201, operator):
    await _monitors(v201, operator)


async def test_TC_N_60_monitors_by_both_of_a_list(v201, operator):
    await _monitors(v201, operator, monitoringCriteria=["PeriodicMonitoring"], componentVariable=[POWER, STATE])


async def test_TC_N_05_monitoring_base(v201, operator):
    for base in ("All", "FactoryDefault", "HardWiredOnly"):
        await asks(operator, v201, "SetMonitoringBase", {"monitoringBase": base})


def monitor(kind: str = "UpperThreshold", value: float = 1.0, place: dict = POWER) -> dict[str, Any]:
    return {"value": value, "type": kind, "severity": 5, "transaction": False} | place


def monitored(*asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "setMonitoringResult": [
            {key: each[key] for key in ("type", "severity", "component", "variable")} | {"status": "Accepted", "id": 7}
            for each in asked
        ]
    }


async def _set(station: Station, operator: Operator, *monitors: dict[str, Any]) -> None:
    request = {"setMonitoringData": list(monitors)}
    await asks(operator, station, "SetVariableMonitoring", request, monitored(*monitors))


async def test_TC_N_08_one_monitor(v201, operator):
    await _set(v201, operator, monitor())


async def test_TC_N_09_several_monitors(v201, operator):
    await _set(v201, operator, monitor(), monitor("Delta", 2.0, STATE))


async def test_TC_N_16_monitoring_level(v201, operator):
    await asks(operator, v201, "SetMonitoringLevel", {"severity": 4})


async def test_TC_N_17_monitoring_level_out_of_range(v201, operator):
    answer = {"status": "Rejected"}
    assert await asks(operator, v201, "SetMonitoringLevel", {"severity": 10}, answer) == answer


def cleared(*ids: int, status: str = "Accepted") -> dict[str, Any]:
    return {"clearMonitoringResult": [{"status": status, "id": id} for id in ids]}


async def test_TC_N_18_monitors_are_cleared_as_many_at_once_as_the_station_takes(v201, operator):
    for ids in ([1, 2], [3]):  # ItemsPerMessage is 2: raw questions are never split, so an operator asks twice.
        await asks(operator, v201, "ClearVariableMonitoring", {"id": ids}, cleared(*ids))


async def test_TC_N_44_clearing_is_refused(v201, operator):
    answer = cleared(1, status="Rejected")
    assert await asks(operator, v201, "ClearVariableMonitoring", {"id": [1]}, answer) == answer


async def _notified(station: Station, operator: Operator, **fields: Any) -> None:
    event = {
        "eventId": 1, "timestamp": now(), "trigger": "Alerting", "actualValue": "11",
        "eventNotificationType": "CustomMonitor",
    } | POWER | fields  # fmt: skip
    told = {"generatedAt": now(), "seqNo": 0, "eventData": [event]}
    assert await station.call("NotifyEvent", told) == {}
    log = await operator.items(f"/stations/{station.identity}/log")
    assert log[0]["data"]["eventId"] == 1


async def test_TC_N_21_hard_wired_alert(v201, operator):
    await _notified(v201, operator, eventNotificationType="HardWiredNotification")


async def test_TC_N_24_periodic_event(v201, operator):
    await _set(v201, operator, monitor("Periodic", 60.0))
    await _notified(v201, operator, trigger="Periodic", variableMonitoringId=7)


async def test_TC_N_48_alert_of_a_variable_that_is_only_written(v201, operator):
    await _notified(v201, operator, actualValue="")


async def test_TC_N_49_alert_is_cleared_by_a_reboot(v201, operator):
    await _set(v201, operator, monitor())
    await _notified(v201, operator, variableMonitoringId=7)
    await v201.reconnect(boot=True)
    await _monitors(v201, operator, first=7)  # Read anew: the one that was set has survived, and there is another.
    await _notified(v201, operator, cleared=True)


async def test_TC_N_50_periodic_alert(v201, operator):
    await _set(v201, operator, monitor("PeriodicClockAligned", 60.0))
    await _notified(v201, operator, trigger="Periodic")


# Logs


async def _log(
    station: Station, operator: Operator, kind: str = "DiagnosticsLog", answer: str = "Accepted", *progress: str
) -> int:
    request = {"logType": kind, "log": {"remoteLocation": "https://files.example/logs"}}
    response = {"status": answer, "filename": "log.gz"}
    number = await numbered(operator, station, "GetLog", request, response)
    for status in progress:
        assert await station.call("LogStatusNotification", {"status": status, "requestId": number}) == {}
    return number


async def test_TC_N_25_diagnostics_log(v201, operator):
    await _log(v201, operator, "DiagnosticsLog", "Accepted", "Uploading", "Uploaded")


async def test_TC_N_34_log_is_refused(v201, operator):
    await _log(v201, operator, "DiagnosticsLog", "Rejected")


async def test_TC_N_35_security_log(v201, operator):
    await _log(v201, operator, "SecurityLog", "Accepted", "Uploading", "Uploaded")


async def test_TC_N_36_second_request_replaces_the_first(v201, operator):
    first = await _log(v201, operator, "DiagnosticsLog", "Accepted", "Uploading")
    second = await _log(v201, operator, "DiagnosticsLog", "AcceptedCanceled")
    assert first != second
    told = {"status": "AcceptedCanceled", "requestId": first}
    assert await v201.call("LogStatusNotification", told) == {}
    for status in ("Uploading", "Uploaded"):
        assert await v201.call("LogStatusNotification", {"status": status, "requestId": second}) == {}


# Customer information

CUSTOMER = {"idToken": {"idToken": "CUSTOMER", "type": "ISO14443"}}


async def _customer(
    station: Station, operator: Operator, *parts: str, report: bool = True, clear: bool = False,
    status: str = "Accepted", who: dict[str, Any] = CUSTOMER,
) -> None:  # fmt: skip
    request = {"report": report, "clear": clear} | who
    number = await numbered(operator, station, "CustomerInformation", request, {"status": status})
    for seq, text in enumerate(parts):
        told = {
            "requestId": number, "seqNo": seq, "tbc": seq < len(parts) - 1, "generatedAt": now(), "data": text,
        }  # fmt: skip
        assert await station.call("NotifyCustomerInformation", told) == {}
    said = await operator.items(f"/stations/{station.identity}/customer-information")
    assert [each["data"]["data"] for each in said] == list(parts)


async def test_TC_N_27_customer_information(v201, operator):
    await _customer(v201, operator, "first part", "second part")


async def test_TC_N_28_no_customer_information(v201, operator):
    await _customer(v201, operator, "")


async def test_TC_N_29_customer_information_is_refused(v201, operator):
    await _customer(v201, operator, status="Rejected")


async def test_TC_N_30_told_and_cleared(v201, operator):
    await _customer(v201, operator, "what there was", clear=True)


async def test_TC_N_31_told_and_cleared_and_there_was_none(v201, operator):
    await _customer(v201, operator, "", clear=True)


async def test_TC_N_32_cleared_only(v201, operator):
    await _customer(v201, operator, "", report=False, clear=True)


async def test_TC_N_46_cleared_and_then_taken_off_the_local_list(v201, operator):
    entry = {"idToken": CUSTOMER["idToken"], "idTokenInfo": {"status": "Accepted"}}
    full = {"updateType": "Full", "localAuthorizationList": [entry]}
    asked, _ = await operator.exchange(v201, "SendLocalList", full)
    await _customer(v201, operator, "", report=False, clear=True)
    less = {"updateType": "Differential", "localAuthorizationList": [{"idToken": CUSTOMER["idToken"]}]}
    again, _ = await operator.exchange(v201, "SendLocalList", less)
    assert again["versionNumber"] > asked["versionNumber"]


async def test_TC_N_62_by_customer_identifier(v201, operator):
    await _customer(v201, operator, "data", who={"customerIdentifier": "C-1"})


async def test_TC_N_63_by_certificate(v201, operator):
    data = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "c3"}
    await _customer(v201, operator, "data", who={"customerCertificate": data})
