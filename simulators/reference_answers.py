"""How the reference station answers everything a central system may ask of it, and what it sends afterwards.

Words are those of the `ocpp` package: the specification's in snake_case. The package judges each question by the official
schema of its version before it is answered, and each answer before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201

Asked = dict[str, Any]
Answer = Callable[[Asked], Asked]
# What follows an answer: (action, its fields), in order.
Following = Callable[[Asked], Iterable[tuple[str, Asked]]]

MOMENT = "2026-05-04T12:00:00Z"
HASH = {
    "hash_algorithm": "SHA256", "issuer_name_hash": "a" * 64, "issuer_key_hash": "b" * 64, "serial_number": "1f",
}  # fmt: skip
SETTINGS_16 = {
    "GetConfigurationMaxKeys": ("50", True),
    "HeartbeatInterval": ("300", False),
    "SendLocalListMaxLength": ("20", True),
    "ChargingScheduleMaxPeriods": ("6", True),
    "ChargingScheduleAllowedChargingRateUnit": ("Current,Power", True),
}
SETTINGS_201 = {"ItemsPerMessage": "4", "PeriodsPerSchedule": "6", "RateUnit": "A,W"}
LIST_VERSION = 7


class Heard(NamedTuple):
    """A question as it came over the wire."""

    action: str
    frame: str


def _said(**fields: Any) -> Answer:
    return lambda asked: fields


ACCEPTED = _said(status="Accepted")


def _settings(asked: Asked) -> Asked:
    wanted = asked.get("key") or list(SETTINGS_16)
    known = [
        {"key": key, "value": SETTINGS_16[key][0], "readonly": SETTINGS_16[key][1]}
        for key in wanted
        if key in SETTINGS_16
    ]
    return {"configuration_key": known, "unknown_key": [key for key in wanted if key not in SETTINGS_16]}


def _schedule_16(asked: Asked) -> Asked:
    schedule = {
        "duration": asked["duration"], "charging_rate_unit": asked.get("charging_rate_unit", "A"),
        "charging_schedule_period": [{"start_period": 0, "limit": 16.0}],
    }  # fmt: skip
    return {
        "status": "Accepted", "connector_id": asked["connector_id"], "schedule_start": MOMENT,
        "charging_schedule": schedule,
    }  # fmt: skip


def _schedule_201(asked: Asked) -> Asked:
    schedule = {
        "evse_id": asked["evse_id"], "duration": asked["duration"], "schedule_start": MOMENT,
        "charging_rate_unit": asked.get("charging_rate_unit", "W"),
        "charging_schedule_period": [{"start_period": 0, "limit": 11_000.0}],
    }  # fmt: skip
    return {"status": "Accepted", "schedule": schedule}


def _variables(asked: Asked) -> Asked:
    """The value of a variable that is no limit is its name."""
    results = [
        {
            **data,
            "attribute_status": "Accepted",
            "attribute_value": SETTINGS_201.get(name := data["variable"]["name"], name),
        }
        for data in asked["get_variable_data"]
    ]
    return {"get_variable_result": results}


def _variables_set(asked: Asked) -> Asked:
    results = [
        {name: value for name, value in data.items() if name != "attribute_value"} | {"attribute_status": "Accepted"}
        for data in asked["set_variable_data"]
    ]
    return {"set_variable_result": results}


def _monitors_set(asked: Asked) -> Asked:
    results = [
        {
            "id": data.get("id", number), "status": "Accepted", "type": data["type"], "severity": data["severity"],
            "component": data["component"], "variable": data["variable"],
        }
        for number, data in enumerate(asked["set_monitoring_data"], 1)
    ]  # fmt: skip
    return {"set_monitoring_result": results}


def _monitors_cleared(asked: Asked) -> Asked:
    return {"clear_monitoring_result": [{"id": id, "status": "Accepted"} for id in asked["id"]]}


CHAIN = {"certificate_type": "CSMSRootCertificate", "certificate_hash_data": HASH}

ANSWERS_16: dict[str, Answer] = {
    "CancelReservation": ACCEPTED,
    "CertificateSigned": ACCEPTED,
    "ChangeAvailability": ACCEPTED,
    "ChangeConfiguration": ACCEPTED,
    "ClearCache": ACCEPTED,
    "ClearChargingProfile": ACCEPTED,
    "DataTransfer": _said(status="Accepted", data="echo"),
    "DeleteCertificate": ACCEPTED,
    "ExtendedTriggerMessage": ACCEPTED,
    "GetCompositeSchedule": _schedule_16,
    "GetConfiguration": _settings,
    "GetDiagnostics": _said(file_name="diagnostics.zip"),
    "GetInstalledCertificateIds": _said(status="Accepted", certificate_hash_data=[HASH]),
    "GetLocalListVersion": _said(list_version=LIST_VERSION),
    "GetLog": _said(status="Accepted", filename="log.zip"),
    "InstallCertificate": ACCEPTED,
    "RemoteStartTransaction": _said(status="Rejected"),  # A session's own story is `reference_session`.
    "RemoteStopTransaction": _said(status="Rejected"),
    "ReserveNow": ACCEPTED,
    "Reset": ACCEPTED,
    "SendLocalList": ACCEPTED,
    "SetChargingProfile": ACCEPTED,
    "SignedUpdateFirmware": ACCEPTED,
    "TriggerMessage": ACCEPTED,
    "UnlockConnector": _said(status="Unlocked"),
    "UpdateFirmware": _said(),
}

ANSWERS_201: dict[str, Answer] = {
    "CancelReservation": ACCEPTED,
    "CertificateSigned": ACCEPTED,
    "ChangeAvailability": ACCEPTED,
    "ClearCache": ACCEPTED,
    "ClearChargingProfile": ACCEPTED,
    "ClearDisplayMessage": ACCEPTED,
    "ClearVariableMonitoring": _monitors_cleared,
    "CostUpdated": _said(),
    "CustomerInformation": ACCEPTED,
    "DataTransfer": _said(status="Accepted", data="echo"),
    "DeleteCertificate": ACCEPTED,
    "GetBaseReport": ACCEPTED,
    "GetChargingProfiles": ACCEPTED,
    "GetCompositeSchedule": _schedule_201,
    "GetDisplayMessages": ACCEPTED,
    "GetInstalledCertificateIds": _said(status="Accepted", certificate_hash_data_chain=[CHAIN]),
    "GetLocalListVersion": _said(version_number=LIST_VERSION),
    "GetLog": _said(status="Accepted", filename="log.zip"),
    "GetMonitoringReport": ACCEPTED,
    "GetReport": ACCEPTED,
    "GetTransactionStatus": _said(messages_in_queue=False),
    "GetVariables": _variables,
    "InstallCertificate": ACCEPTED,
    "PublishFirmware": ACCEPTED,
    "RequestStartTransaction": _said(status="Rejected"),
    "RequestStopTransaction": _said(status="Rejected"),
    "ReserveNow": ACCEPTED,
    "Reset": ACCEPTED,
    "SendLocalList": ACCEPTED,
    "SetChargingProfile": ACCEPTED,
    "SetDisplayMessage": ACCEPTED,
    "SetMonitoringBase": ACCEPTED,
    "SetMonitoringLevel": ACCEPTED,
    "SetNetworkProfile": ACCEPTED,
    "SetVariableMonitoring": _monitors_set,
    "SetVariables": _variables_set,
    "TriggerMessage": ACCEPTED,
    "UnlockConnector": _said(status="Unlocked"),
    "UnpublishFirmware": _said(status="Unpublished"),
    "UpdateFirmware": ACCEPTED,
}

COMPONENT, VARIABLE = {"name": "OCPPCommCtrlr"}, {"name": "HeartbeatInterval"}


def _report(asked: Asked) -> Iterable[tuple[str, Asked]]:
    """Two parts, the last of them first: a network may turn them round."""
    for number, name in ((1, "RetryBackOffWaitMinimum"), (0, "HeartbeatInterval")):
        data = {
            "component": COMPONENT, "variable": {"name": name},
            "variable_attribute": [{"value": "60", "mutability": "ReadWrite"}],
        }  # fmt: skip
        yield "NotifyReport", {
            "request_id": asked["request_id"], "generated_at": MOMENT, "seq_no": number, "tbc": number == 0,
            "report_data": [data],
        }  # fmt: skip


def _monitors(asked: Asked) -> Iterable[tuple[str, Asked]]:
    monitor = {"id": 77, "transaction": False, "value": 3.0, "type": "UpperThreshold", "severity": 4}
    data = {"component": COMPONENT, "variable": VARIABLE, "variable_monitoring": [monitor]}
    yield "NotifyMonitoringReport", {
        "request_id": asked["request_id"], "seq_no": 0, "generated_at": MOMENT, "monitor": [data],
    }  # fmt: skip


def _profiles(asked: Asked) -> Iterable[tuple[str, Asked]]:
    schedule = {
        "id": 1, "charging_rate_unit": "W", "charging_schedule_period": [{"start_period": 0, "limit": 7_000.0}],
    }  # fmt: skip
    profile = {
        "id": 99, "stack_level": 0, "charging_profile_purpose": "TxDefaultProfile", "charging_profile_kind": "Relative",
        "charging_schedule": [schedule],
    }  # fmt: skip
    yield "ReportChargingProfiles", {
        "request_id": asked["request_id"], "charging_limit_source": "CSO", "evse_id": 1, "charging_profile": [profile],
    }  # fmt: skip


def _messages(asked: Asked) -> Iterable[tuple[str, Asked]]:
    message = {"id": 55, "priority": "NormalCycle", "message": {"format": "UTF8", "content": "Hello"}}
    yield "NotifyDisplayMessages", {"request_id": asked["request_id"], "message_info": [message]}


def _customer(asked: Asked) -> Iterable[tuple[str, Asked]]:
    for number, data in enumerate(("first ", "second")):
        yield "NotifyCustomerInformation", {
            "request_id": asked["request_id"], "generated_at": MOMENT, "seq_no": number, "tbc": number == 0,
            "data": data,
        }  # fmt: skip


def _progress(action: str, *steps: str, numbered: bool = True) -> Following:
    def following(asked: Asked) -> Iterable[tuple[str, Asked]]:
        number = {"request_id": asked["request_id"]} if numbered else {}
        return ((action, {"status": step, **number}) for step in steps)

    return following


def _published(asked: Asked) -> Iterable[tuple[str, Asked]]:
    yield "PublishFirmwareStatusNotification", {
        "status": "Published", "location": ["http://controller.example/firmware"], "request_id": asked["request_id"],
    }  # fmt: skip


FOLLOWING_16: dict[str, Following] = {
    "ExtendedTriggerMessage": lambda asked: [("Heartbeat", {})],
    "GetDiagnostics": _progress("DiagnosticsStatusNotification", "Uploading", "Uploaded", numbered=False),
    "GetLog": _progress("LogStatusNotification", "Uploading", "Uploaded"),
    "SignedUpdateFirmware": _progress("SignedFirmwareStatusNotification", "Downloading", "Installed"),
    "TriggerMessage": lambda asked: [("Heartbeat", {})],
    "UpdateFirmware": _progress("FirmwareStatusNotification", "Downloading", "Installed", numbered=False),
}
FOLLOWING_201: dict[str, Following] = {
    "CustomerInformation": _customer,
    "GetBaseReport": _report,
    "GetChargingProfiles": _profiles,
    "GetDisplayMessages": _messages,
    "GetLog": _progress("LogStatusNotification", "Uploading", "Uploaded"),
    "GetMonitoringReport": _monitors,
    "GetReport": _report,
    "PublishFirmware": _published,
    "TriggerMessage": lambda asked: [("Heartbeat", {})],
    "UpdateFirmware": _progress("FirmwareStatusNotification", "Downloading", "Installed"),
}

_WORDS = {
    "1.6": (ANSWERS_16, FOLLOWING_16, call16, result16),
    "2.0.1": (ANSWERS_201, FOLLOWING_201, call201, result201),
}


def answer_everything(station: Any, version: str) -> None:
    """Let an `ocpp` charge point answer whatever it has no answer of its own for, and send what follows from that."""
    answers, following, calls, results = _WORDS[version]
    for action, answer in answers.items():
        if "_on_action" not in station.route_map.get(action, {}):
            route = {"_on_action": _answering(getattr(results, action), answer), "_skip_schema_validation": False}
            if action in following:
                route["_after_action"] = _sending(station, calls, following[action])
            station.route_map[action] = route


def _answering(result: type, answer: Answer) -> Callable[..., Any]:
    return lambda **asked: result(**answer(asked))


def _sending(station: Any, calls: Any, following: Following) -> Callable[..., Any]:
    async def send(**asked: Any) -> None:
        for action, fields in following(asked):
            await station.call(getattr(calls, action)(**fields), suppress=False)

    return send
