"""Which actions each version has: their types, their directions and their decoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec

from csms.ocpp.version import Version

__all__ = ["Action", "Version", "action_of", "actions"]

Decode = Callable[["bytes | msgspec.Raw"], Any]


@dataclass(frozen=True, slots=True)
class Action:
    """One action of one version; `response` is None for a message that is never answered.

    `decode_request` and `decode_response` read a payload strictly into its type and raise
    `msgspec.ValidationError` or `msgspec.DecodeError`. They are attributes, not methods, so that
    a decoder replaces its own maker at the first call: the hot path is one attribute and one call.
    """

    name: str
    version: Version
    request: type[msgspec.Struct]
    response: type[msgspec.Struct] | None
    from_station: bool
    from_csms: bool
    decode_request: Decode = field(init=False, repr=False, compare=False)
    decode_response: Decode = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decode_request", partial(self._first, "decode_request"))
        object.__setattr__(self, "decode_response", partial(self._first, "decode_response"))

    def _first(self, attribute: str, raw: bytes | msgspec.Raw) -> Any:
        message = self.request if attribute == "decode_request" else self.response
        if message is None:
            raise TypeError(f"{self.name} of OCPP {self.version} is never answered")
        decode = msgspec.json.Decoder(message, dec_hook=open_object).decode
        object.__setattr__(self, attribute, decode)
        return decode(raw)


def open_object(kind: type, value: Any) -> Any:
    """Build the one type msgspec does not know: `CustomData`, a dict that names its vendor."""
    vendor = value.get("vendorId") if isinstance(value, dict) else None
    if not isinstance(vendor, str) or len(vendor) > 255:
        raise ValueError("Expected a `vendorId` of at most 255 characters")
    return kind(value)


def actions(version: Version) -> Mapping[str, Action]:
    """Every action of `version` by name."""
    return _catalogue(version)[0]


def action_of(message_type: type) -> Action:
    """The action whose request or response `message_type` is."""
    version = _VERSION_OF_MODULE.get(message_type.__module__)
    action = _catalogue(version)[1].get(message_type) if version else None
    if action is None:
        raise LookupError(f"{message_type.__qualname__} is not a message of any OCPP version")
    return action


@cache
def _catalogue(version: Version) -> tuple[Mapping[str, Action], Mapping[type, Action]]:
    # Imported when first asked for: 2.1 alone is 180 messages nobody pays for without using it.
    types = import_module(f"{_PACKAGE}.{version.package}")
    from_station, from_csms = (frozenset(names.split()) for names in _DIRECTIONS[version])
    by_name = {
        name: _action(types, name, version, name in from_station, name in from_csms)
        for name in sorted(from_station | from_csms)
    }
    by_type: dict[type, Action] = {}
    for action in by_name.values():
        by_type[action.request] = action
        if action.response is not None:
            by_type[action.response] = action
    return MappingProxyType(by_name), MappingProxyType(by_type)


def _action(types: ModuleType, name: str, version: Version, from_station: bool, from_csms: bool) -> Action:
    request, response = getattr(types, name), getattr(types, f"{name}Response", None)
    return Action(name, version, request, response, from_station, from_csms)


_PACKAGE = __name__.rpartition(".")[0]
_VERSION_OF_MODULE = {f"{_PACKAGE}.{version.package}": version for version in Version}

# Who may send what: the specifications say it in prose, the schemas do not.
_FROM_STATION_16 = """
    Authorize BootNotification DataTransfer DiagnosticsStatusNotification FirmwareStatusNotification
    Heartbeat LogStatusNotification MeterValues SecurityEventNotification SignCertificate
    SignedFirmwareStatusNotification StartTransaction StatusNotification StopTransaction
"""
_FROM_CSMS_16 = """
    CancelReservation CertificateSigned ChangeAvailability ChangeConfiguration ClearCache
    ClearChargingProfile DataTransfer DeleteCertificate ExtendedTriggerMessage GetCompositeSchedule
    GetConfiguration GetDiagnostics GetInstalledCertificateIds GetLocalListVersion GetLog
    InstallCertificate RemoteStartTransaction RemoteStopTransaction ReserveNow Reset SendLocalList
    SetChargingProfile SignedUpdateFirmware TriggerMessage UnlockConnector UpdateFirmware
"""
_FROM_STATION_201 = """
    Authorize BootNotification ClearedChargingLimit DataTransfer FirmwareStatusNotification
    Get15118EVCertificate GetCertificateStatus Heartbeat LogStatusNotification MeterValues
    NotifyChargingLimit NotifyCustomerInformation NotifyDisplayMessages NotifyEVChargingNeeds
    NotifyEVChargingSchedule NotifyEvent NotifyMonitoringReport NotifyReport
    PublishFirmwareStatusNotification ReportChargingProfiles ReservationStatusUpdate
    SecurityEventNotification SignCertificate StatusNotification TransactionEvent
"""
_FROM_CSMS_201 = """
    CancelReservation CertificateSigned ChangeAvailability ClearCache ClearChargingProfile
    ClearDisplayMessage ClearVariableMonitoring CostUpdated CustomerInformation DataTransfer
    DeleteCertificate GetBaseReport GetChargingProfiles GetCompositeSchedule GetDisplayMessages
    GetInstalledCertificateIds GetLocalListVersion GetLog GetMonitoringReport GetReport
    GetTransactionStatus GetVariables InstallCertificate PublishFirmware RequestStartTransaction
    RequestStopTransaction ReserveNow Reset SendLocalList SetChargingProfile SetDisplayMessage
    SetMonitoringBase SetMonitoringLevel SetNetworkProfile SetVariableMonitoring SetVariables
    TriggerMessage UnlockConnector UnpublishFirmware UpdateFirmware
"""
_ADDED_BY_21_FROM_STATION = """
    BatterySwap ClosePeriodicEventStream GetCertificateChainStatus NotifyDERAlarm NotifyDERStartStop
    NotifyPeriodicEventStream NotifyPriorityCharging NotifySettlement OpenPeriodicEventStream
    PullDynamicScheduleUpdate ReportDERControl VatNumberValidation
"""
_ADDED_BY_21_FROM_CSMS = """
    AFRRSignal AdjustPeriodicEventStream ChangeTransactionTariff ClearDERControl ClearTariffs
    GetDERControl GetPeriodicEventStream GetTariffs NotifyAllowedEnergyTransfer
    NotifyWebPaymentStarted RequestBatterySwap SetDERControl SetDefaultTariff
    UpdateDynamicSchedule UsePriorityCharging
"""
_DIRECTIONS = {
    Version.V16: (_FROM_STATION_16, _FROM_CSMS_16),
    Version.V201: (_FROM_STATION_201, _FROM_CSMS_201),
    Version.V21: (
        _FROM_STATION_201 + _ADDED_BY_21_FROM_STATION,
        _FROM_CSMS_201 + _ADDED_BY_21_FROM_CSMS,
    ),
}
