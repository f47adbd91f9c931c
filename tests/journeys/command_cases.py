"""One question for each action and version: what an operator sends, and what is to be read over the API afterwards."""

from __future__ import annotations

from typing import Any, NamedTuple

Payload = dict[str, Any]

FUTURE = "2099-01-01T00:00:00Z"
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a" * 64, "issuerKeyHash": "b" * 64, "serialNumber": "1f"}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
TOKEN = {"idToken": "TAG", "type": "ISO14443"}
COMPONENT, VARIABLE = {"name": "OCPPCommCtrlr"}, {"name": "HeartbeatInterval"}
ABOUT = {"component": COMPONENT, "variable": VARIABLE}
PERIODS = [{"startPeriod": 0, "limit": 16.0}]
PROFILE_16 = {
    "chargingProfileId": 31, "stackLevel": 1, "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative", "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS},
}  # fmt: skip
PROFILE_201 = {
    "id": 31, "stackLevel": 1, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative",
    "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS}],
}  # fmt: skip
ENTRY_16 = {"idTag": "Tag-1", "idTagInfo": {"status": "Accepted"}}
ENTRY_201 = {"idToken": TOKEN, "idTokenInfo": {"status": "Accepted"}}
MESSAGE = {"id": 5, "priority": "NormalCycle", "message": {"format": "UTF8", "content": "Closed on Sunday"}}
MONITOR = {"value": 50.0, "type": "UpperThreshold", "severity": 5, **ABOUT}
NETWORK = {
    "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "wss://csms.example/ocpp", "messageTimeout": 30,
    "securityProfile": 1, "ocppInterface": "Wired0",
}  # fmt: skip
FIRMWARE = {"location": "https://firmware.example/1.bin", "retrieveDateTime": FUTURE}
SIGNED = FIRMWARE | {"signingCertificate": PEM, "signature": "c2ln"}
LOG = {"remoteLocation": "https://logs.example/in"}


class Books(NamedTuple):
    """What is read at `path`: a list one of whose items holds all of `item`; `gone`: no item does."""

    path: str
    item: dict[str, Any]
    gone: bool = False


class Case(NamedTuple):
    version: str
    action: str
    payload: Payload
    books: Books | None = None
    before: tuple[tuple[str, Payload], ...] = ()  # What has to be asked first.
    given: tuple[str, ...] = ()  # Where an id of the system's stands, which the payload leaves out.

    @property
    def id(self) -> str:
        return f"{self.version}-{self.action}"


def said(resource: str, key: str, data: Any, gone: bool = False) -> Books:
    return Books(f"stations/{{station}}/{resource}", {"key": key, "data": data}, gone)


def report(name: str, parts: int) -> Books:
    return Books("stations/{station}/reports", {"report": name, "state": "complete", "parts": parts})


def reservation(status: str) -> Books:
    return Books("reservations?station_id={station}", {"status": status, "token": "TAG", "evse_id": 1})


PROFILES, LISTS = "charging-profiles?station_id={station}", "local-lists?station_id={station}"
INSTALLED = {"profile_id": 31, "evse_id": 1, "purpose": "TxDefaultProfile", "stack_level": 1, "confirmed": True}
RESERVE_16 = {"connectorId": 1, "expiryDate": FUTURE, "idTag": "TAG"}
RESERVE_201 = {"expiryDateTime": FUTURE, "idToken": TOKEN, "evseId": 1}
SET_16 = {"connectorId": 1, "csChargingProfiles": PROFILE_16}
SET_201 = {"evseId": 1, "chargingProfile": PROFILE_201}
INTERVAL = {"value": "300", "readonly": False}
VALUE = {**ABOUT, "value": "HeartbeatInterval"}

CASES_16 = [
    Case("1.6", "CancelReservation", {"reservationId": 41}, reservation("cancelled"),
         (("ReserveNow", RESERVE_16 | {"reservationId": 41}),)),
    Case("1.6", "CertificateSigned", {"certificateChain": PEM}),
    Case("1.6", "ChangeAvailability", {"type": "Inoperative", "connectorId": 0},
         said("availability", "station", {"type": "Inoperative", "status": "Accepted"})),
    Case("1.6", "ChangeConfiguration", {"value": "120", "key": "MeterValueSampleInterval"},
         said("configuration", "MeterValueSampleInterval", {"value": "120", "readonly": False})),
    Case("1.6", "ClearCache", {}),
    Case("1.6", "ClearChargingProfile", {"stackLevel": 1, "connectorId": 1},
         Books(PROFILES, {"profile_id": 31}, gone=True), (("SetChargingProfile", SET_16),)),
    Case("1.6", "DataTransfer", {"vendorId": "com.example", "messageId": "Echo", "data": "{}"}),
    Case("1.6", "DeleteCertificate", {"certificateHashData": HASH},
         said("certificates", "", {"certificateHashData": HASH}, gone=True),
         (("GetInstalledCertificateIds", {"certificateType": "CentralSystemRootCertificate"}),)),
    Case("1.6", "ExtendedTriggerMessage", {"requestedMessage": "Heartbeat"}),
    Case("1.6", "GetCompositeSchedule", {"connectorId": 1, "duration": 3600, "chargingRateUnit": "W"}),
    Case("1.6", "GetConfiguration", {"key": ["HeartbeatInterval", "NoSuchKey"]},
         said("configuration", "HeartbeatInterval", INTERVAL)),
    Case("1.6", "GetDiagnostics", {"location": "https://logs.example/in", "retries": 2},
         said("jobs", "GetDiagnostics/None", {"status": "Accepted", "fileName": "diagnostics.zip"})),
    Case("1.6", "GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"},
         Books("stations/{station}/certificates",
               {"data": {"certificateType": "ManufacturerRootCertificate", "certificateHashData": HASH}})),
    Case("1.6", "GetLocalListVersion", {}),
    Case("1.6", "GetLog", {"logType": "DiagnosticsLog", "log": LOG},
         Books("stations/{station}/jobs", {"kind": "log", "data": {"status": "Uploaded"}}), given=("requestId",)),
    Case("1.6", "InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": PEM}),
    Case("1.6", "RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1, "chargingProfile": {
        **PROFILE_16, "chargingProfilePurpose": "TxProfile"}}),
    Case("1.6", "RemoteStopTransaction", {"transactionId": 1}),
    Case("1.6", "ReserveNow", RESERVE_16, reservation("accepted"), given=("reservationId",)),
    Case("1.6", "Reset", {"type": "Soft"}),
    Case("1.6", "SendLocalList", {"updateType": "Full", "localAuthorizationList": [ENTRY_16]},
         Books(LISTS, {"entries": [ENTRY_16]}), given=("listVersion",)),
    Case("1.6", "SetChargingProfile", SET_16, Books(PROFILES, INSTALLED)),
    Case("1.6", "SignedUpdateFirmware", {"retries": 1, "firmware": SIGNED},
         Books("stations/{station}/jobs", {"kind": "firmware", "data": {"status": "Installed"}}), given=("requestId",)),
    Case("1.6", "TriggerMessage", {"requestedMessage": "Heartbeat"}),
    Case("1.6", "UnlockConnector", {"connectorId": 99}),
    Case("1.6", "UpdateFirmware", {"location": "https://firmware.example/1.bin", "retrieveDate": FUTURE},
         Books("stations/{station}/jobs", {"kind": "firmware", "key": "latest", "data": {"status": "Installed"}})),
]  # fmt: skip

CASES_201 = [
    Case("2.0.1", "CancelReservation", {"reservationId": 41}, reservation("cancelled"),
         (("ReserveNow", RESERVE_201 | {"id": 41}),)),
    Case("2.0.1", "CertificateSigned", {"certificateType": "V2GCertificate", "certificateChain": PEM}),
    Case("2.0.1", "ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1, "connectorId": 1}},
         said("availability", "1.1", {"operationalStatus": "Inoperative", "status": "Accepted"})),
    Case("2.0.1", "ClearCache", {}),
    Case("2.0.1", "ClearChargingProfile", {"chargingProfileId": 31}, Books(PROFILES, {"profile_id": 31}, gone=True),
         (("SetChargingProfile", SET_201),)),
    Case("2.0.1", "ClearDisplayMessage", {"id": 5}, said("display-messages", "5", {}, gone=True),
         (("SetDisplayMessage", {"message": MESSAGE}),)),
    Case("2.0.1", "ClearVariableMonitoring", {"id": [1]}, said("monitors", "1", {}, gone=True),
         (("SetVariableMonitoring", {"setMonitoringData": [MONITOR]}),)),
    Case("2.0.1", "CostUpdated", {"totalCost": 1.25, "transactionId": "TX"}),
    Case("2.0.1", "CustomerInformation", {"report": True, "clear": False, "idToken": TOKEN},
         report("customer_information", 2), given=("requestId",)),
    Case("2.0.1", "DataTransfer", {"vendorId": "com.example", "data": {"any": ["thing"]}}),
    Case("2.0.1", "DeleteCertificate", {"certificateHashData": HASH},
         said("certificates", "", {"certificateHashData": HASH}, gone=True), (("GetInstalledCertificateIds", {}),)),
    Case("2.0.1", "GetBaseReport", {"reportBase": "FullInventory"}, report("variables", 2), given=("requestId",)),
    Case("2.0.1", "GetChargingProfiles", {"chargingProfile": {}, "evseId": 1}, report("charging_profiles", 1),
         given=("requestId",)),
    Case("2.0.1", "GetCompositeSchedule", {"duration": 3600, "evseId": 1}),
    Case("2.0.1", "GetDisplayMessages", {"priority": "NormalCycle"},
         Books("stations/{station}/display-messages", {"key": "55"}), given=("requestId",)),
    Case("2.0.1", "GetInstalledCertificateIds", {"certificateType": ["CSMSRootCertificate"]},
         Books("stations/{station}/certificates",
               {"data": {"certificateType": "CSMSRootCertificate", "certificateHashData": HASH}})),
    Case("2.0.1", "GetLocalListVersion", {}),
    Case("2.0.1", "GetLog", {"logType": "SecurityLog", "log": LOG},
         Books("stations/{station}/jobs", {"kind": "log", "data": {"status": "Uploaded"}}), given=("requestId",)),
    Case("2.0.1", "GetMonitoringReport", {"monitoringCriteria": ["ThresholdMonitoring"]},
         Books("stations/{station}/monitors", {"key": "77", "confirmed": True}), given=("requestId",)),
    Case("2.0.1", "GetReport", {"componentVariable": [{"component": COMPONENT}]},
         Books("stations/{station}/device-model", {"kind": "variable", "key": "OCPPCommCtrlr/RetryBackOffWaitMinimum"}),
         given=("requestId",)),
    Case("2.0.1", "GetTransactionStatus", {"transactionId": "TX"}),
    Case("2.0.1", "GetVariables", {"getVariableData": [ABOUT]},
         said("device-model", "OCPPCommCtrlr/HeartbeatInterval:Actual", VALUE)),
    Case("2.0.1", "InstallCertificate", {"certificateType": "V2GRootCertificate", "certificate": PEM}),
    Case("2.0.1", "PublishFirmware", {"location": "https://firmware.example/1.bin", "checksum": "0" * 32},
         Books("stations/{station}/jobs", {"kind": "published_firmware", "data": {"status": "Published"}}),
         given=("requestId",)),
    Case("2.0.1", "RequestStartTransaction", {"evseId": 1, "idToken": TOKEN, "chargingProfile": {
        **PROFILE_201, "chargingProfilePurpose": "TxProfile"}}, given=("remoteStartId",)),
    Case("2.0.1", "RequestStopTransaction", {"transactionId": "TX"}),
    Case("2.0.1", "ReserveNow", RESERVE_201, reservation("accepted"), given=("id",)),
    Case("2.0.1", "Reset", {"type": "OnIdle", "evseId": 1}),
    Case("2.0.1", "SendLocalList", {"updateType": "Full", "localAuthorizationList": [ENTRY_201]},
         Books(LISTS, {"entries": [ENTRY_201]}), given=("versionNumber",)),
    Case("2.0.1", "SetChargingProfile", SET_201, Books(PROFILES, INSTALLED)),
    Case("2.0.1", "SetDisplayMessage", {"message": MESSAGE}, said("display-messages", "5", MESSAGE)),
    Case("2.0.1", "SetMonitoringBase", {"monitoringBase": "HardWiredOnly"},
         Books("stations/{station}/monitors", {}, gone=True),
         (("SetVariableMonitoring", {"setMonitoringData": [MONITOR]}),)),
    Case("2.0.1", "SetMonitoringLevel", {"severity": 4}, said("monitoring", "latest", {"severity": 4})),
    Case("2.0.1", "SetNetworkProfile", {"configurationSlot": 2, "connectionData": NETWORK},
         said("network-profiles", "2", NETWORK)),
    Case("2.0.1", "SetVariableMonitoring", {"setMonitoringData": [MONITOR]},
         said("monitors", "1", {"severity": 5, "monitor": {
             "id": 1, "transaction": False, "value": 50.0, "type": "UpperThreshold", "severity": 5}})),
    Case("2.0.1", "SetVariables", {"setVariableData": [{**ABOUT, "attributeValue": "60", "attributeType": "Actual"}]},
         said("device-model", "OCPPCommCtrlr/HeartbeatInterval:Actual", {**ABOUT, "value": "60"})),
    Case("2.0.1", "TriggerMessage", {"requestedMessage": "Heartbeat"}),
    Case("2.0.1", "UnlockConnector", {"connectorId": 99, "evseId": 77}),
    Case("2.0.1", "UnpublishFirmware", {"checksum": "0" * 32},
         said("jobs", f"UnpublishFirmware/{'0' * 32}", {"status": "Unpublished"})),
    Case("2.0.1", "UpdateFirmware", {"retries": 1, "firmware": SIGNED},
         Books("stations/{station}/jobs", {"kind": "firmware", "data": {"status": "Installed"}}), given=("requestId",)),
]  # fmt: skip

CASES = [*CASES_16, *CASES_201]
