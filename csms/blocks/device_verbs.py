"""Neutral verbs of blocks B, F, G, L and N: reset, unlock, availability, triggers, reports, firmware and logs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from csms.blocks.verbs import GIVEN, STRICT, Facts, Unsayable, Verb, instant, only_connector
from csms.ocpp import v16, v201

Questions = Iterator[msgspec.Struct]


@dataclass(frozen=True)
class Reset:
    """`soft`: when nobody charges any more (2.x), or after ending transactions properly (1.6); `hard`: at once."""

    __pydantic_config__: ClassVar = STRICT
    type: Literal["soft", "hard"] = "soft"
    evse_id: int | None = None


def reset_16(ask: Reset, facts: Facts) -> Questions:
    if ask.evse_id is not None:
        raise Unsayable("The station speaks OCPP 1.6 and can only be reset as a whole. Leave evse_id out.")
    yield v16.Reset(type="Soft" if ask.type == "soft" else "Hard")


def reset_2x(ask: Reset, facts: Facts) -> Questions:
    yield v201.Reset(type="OnIdle" if ask.type == "soft" else "Immediate", evse_id=ask.evse_id)


@dataclass(frozen=True)
class Unlock:
    """Which connector the station knows is for the station to say (T82)."""

    __pydantic_config__: ClassVar = STRICT
    evse_id: int
    connector_id: int | None = None


def unlock_16(ask: Unlock, facts: Facts) -> Questions:
    yield v16.UnlockConnector(connector_id=only_connector(ask))


def unlock_2x(ask: Unlock, facts: Facts) -> Questions:
    yield v201.UnlockConnector(evse_id=ask.evse_id, connector_id=1 if ask.connector_id is None else ask.connector_id)


@dataclass(frozen=True)
class Availability:
    """The whole station where no EVSE is named. Where somebody charges it comes true afterwards."""

    __pydantic_config__: ClassVar = STRICT
    operative: bool
    evse_id: int | None = None
    connector_id: int | None = None


def availability_16(ask: Availability, facts: Facts) -> Questions:
    yield v16.ChangeAvailability(
        connector_id=only_connector(ask), type="Operative" if ask.operative else "Inoperative"
    )  # fmt: skip


def availability_2x(ask: Availability, facts: Facts) -> Questions:
    yield v201.ChangeAvailability(operational_status="Operative" if ask.operative else "Inoperative", evse=_evse(ask))


def _evse(ask: Availability | Trigger) -> v201.EVSE | None:
    if ask.evse_id is None:
        if ask.connector_id is not None:
            raise Unsayable("Name the EVSE of the connector: evse_id.")
        return None
    return v201.EVSE(id=ask.evse_id, connector_id=ask.connector_id)


Triggered = Literal[
    "boot", "heartbeat", "status", "meter_values", "transaction", "firmware_status", "log_status",
    "publish_firmware_status", "sign_certificate", "sign_v2g_certificate", "sign_combined_certificate",
]  # fmt: skip


@dataclass(frozen=True)
class Trigger:
    """Let the station send a message now."""

    __pydantic_config__: ClassVar = STRICT
    message: Triggered
    evse_id: int | None = None
    connector_id: int | None = None


# 1.6: TriggerMessage as it always was, ExtendedTriggerMessage where only that knows the message.
TRIGGER_16 = {
    "boot": "BootNotification", "heartbeat": "Heartbeat", "status": "StatusNotification", "meter_values": "MeterValues",
    "firmware_status": "FirmwareStatusNotification",
}  # fmt: skip
EXTENDED_16 = {"log_status": "LogStatusNotification", "sign_certificate": "SignChargePointCertificate"}
TRIGGER_2X = {
    "boot": "BootNotification", "heartbeat": "Heartbeat", "status": "StatusNotification", "meter_values": "MeterValues",
    "transaction": "TransactionEvent", "firmware_status": "FirmwareStatusNotification",
    "log_status": "LogStatusNotification", "publish_firmware_status": "PublishFirmwareStatusNotification",
    "sign_certificate": "SignChargingStationCertificate", "sign_v2g_certificate": "SignV2GCertificate",
    "sign_combined_certificate": "SignCombinedCertificate",
}  # fmt: skip


def trigger_16(ask: Trigger, facts: Facts) -> Questions:
    place = only_connector(ask) if ask.evse_id is not None or ask.connector_id is not None else None
    if ask.message in TRIGGER_16:
        yield v16.TriggerMessage(requested_message=TRIGGER_16[ask.message], connector_id=place)
    elif ask.message in EXTENDED_16:
        yield v16.ExtendedTriggerMessage(requested_message=EXTENDED_16[ask.message], connector_id=place)
    else:
        known = ", ".join([*TRIGGER_16, *EXTENDED_16])
        raise Unsayable(f"The station speaks OCPP 1.6, which cannot trigger {ask.message!r}. It can: {known}.")


def trigger_2x(ask: Trigger, facts: Facts) -> Questions:
    if ask.message == "status" and ask.connector_id is None:  # F06.FR.12
        raise Unsayable("A status is one connector's: name evse_id and connector_id.")
    yield v201.TriggerMessage(requested_message=TRIGGER_2X[ask.message], evse=_evse(ask))


@dataclass(frozen=True)
class Report:
    """The variables a station has; they are read at `device-model` when the report is whole."""

    __pydantic_config__: ClassVar = STRICT
    base: Literal["full", "configuration", "summary"] = "full"


BASE = {"full": "FullInventory", "configuration": "ConfigurationInventory", "summary": "SummaryInventory"}


def report_16(ask: Report, facts: Facts) -> Questions:
    """1.6 knows one inventory: its configuration."""
    yield v16.GetConfiguration()


def report_2x(ask: Report, facts: Facts) -> Questions:
    yield v201.GetBaseReport(request_id=GIVEN, report_base=BASE[ask.base])


@dataclass(frozen=True)
class ClearCache:
    """Let the station forget the authorizations that it keeps."""

    __pydantic_config__: ClassVar = STRICT


def clear_cache_16(ask: ClearCache, facts: Facts) -> Questions:
    yield v16.ClearCache()


def clear_cache_2x(ask: ClearCache, facts: Facts) -> Questions:
    yield v201.ClearCache()


@dataclass(frozen=True)
class Firmware:
    """Signed where a certificate and a signature are given. Times: from when to fetch it, and from when to install it."""

    __pydantic_config__: ClassVar = STRICT
    location: str
    retrieve_at: datetime | None = None
    install_at: datetime | None = None
    retries: int | None = None
    retry_interval: int | None = None
    certificate: str | None = None
    signature: str | None = None


def firmware_16(ask: Firmware, facts: Facts) -> Questions:
    retrieve_at = instant(ask.retrieve_at, "retrieve_at") or facts.now.replace(microsecond=0)
    _check_signed(ask)
    if ask.certificate is None or ask.signature is None:
        if ask.install_at is not None:
            raise Unsayable("OCPP 1.6 knows no time of installation for firmware that is not signed.")
        yield v16.UpdateFirmware(
            location=ask.location, retrieve_date=retrieve_at, retries=ask.retries, retry_interval=ask.retry_interval
        )
        return
    firmware = v16.Firmware(
        location=ask.location, retrieve_date_time=retrieve_at, install_date_time=instant(ask.install_at, "install_at"),
        signing_certificate=ask.certificate, signature=ask.signature,
    )  # fmt: skip
    yield v16.SignedUpdateFirmware(
        request_id=GIVEN, firmware=firmware, retries=ask.retries, retry_interval=ask.retry_interval
    )


def firmware_2x(ask: Firmware, facts: Facts) -> Questions:
    _check_signed(ask)
    firmware = v201.Firmware(
        location=ask.location,
        retrieve_date_time=instant(ask.retrieve_at, "retrieve_at") or facts.now.replace(microsecond=0),
        install_date_time=instant(ask.install_at, "install_at"),
        signing_certificate=ask.certificate, signature=ask.signature,
    )  # fmt: skip
    yield v201.UpdateFirmware(
        request_id=GIVEN, firmware=firmware, retries=ask.retries, retry_interval=ask.retry_interval
    )


def _check_signed(ask: Firmware) -> None:
    if (ask.certificate is None) != (ask.signature is None):
        raise Unsayable("Signed firmware needs both certificate and signature.")


@dataclass(frozen=True)
class Logs:
    """Let the station upload a log to `location`; the part between the times, where given."""

    __pydantic_config__: ClassVar = STRICT
    location: str
    kind: Literal["diagnostics", "security"] = "diagnostics"
    oldest_at: datetime | None = None
    latest_at: datetime | None = None
    retries: int | None = None
    retry_interval: int | None = None


def logs_16(ask: Logs, facts: Facts) -> Questions:
    """Diagnostics as every 1.6 station knows them; the security log by the security extension."""
    oldest, latest = instant(ask.oldest_at, "oldest_at"), instant(ask.latest_at, "latest_at")
    if ask.kind == "diagnostics":
        yield v16.GetDiagnostics(
            location=ask.location, start_time=oldest, stop_time=latest, retries=ask.retries,
            retry_interval=ask.retry_interval,
        )  # fmt: skip
        return
    wanted = v16.LogParameters(remote_location=ask.location, oldest_timestamp=oldest, latest_timestamp=latest)
    yield v16.GetLog(
        log=wanted, log_type="SecurityLog", request_id=GIVEN, retries=ask.retries, retry_interval=ask.retry_interval
    )


def logs_2x(ask: Logs, facts: Facts) -> Questions:
    wanted = v201.LogParameters(
        remote_location=ask.location, oldest_timestamp=instant(ask.oldest_at, "oldest_at"),
        latest_timestamp=instant(ask.latest_at, "latest_at"),
    )  # fmt: skip
    kind = "DiagnosticsLog" if ask.kind == "diagnostics" else "SecurityLog"
    yield v201.GetLog(
        log=wanted, log_type=kind, request_id=GIVEN, retries=ask.retries, retry_interval=ask.retry_interval
    )


VERBS = (
    Verb("reset", Reset, reset_16, reset_2x),
    Verb("unlock", Unlock, unlock_16, unlock_2x),
    Verb("availability", Availability, availability_16, availability_2x),
    Verb("trigger", Trigger, trigger_16, trigger_2x),
    Verb("report", Report, report_16, report_2x),
    Verb("clear-cache", ClearCache, clear_cache_16, clear_cache_2x),
    Verb("firmware", Firmware, firmware_16, firmware_2x),
    Verb("logs", Logs, logs_16, logs_2x),
)
