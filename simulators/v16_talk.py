"""A station's words in OCPP 1.6."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from csms.ocpp import v16
from csms.ocpp.version import Version
from simulators import v16_commands
from simulators.mailbox import Kind, Letter
from simulators.session import Reading, Session, Why

if TYPE_CHECKING:
    from simulators.outlet import Outlet
    from simulators.station import Station

version = Version.V16
answers = v16_commands.ANSWERS

REASON = {
    Why.LOCAL: "Local",
    Why.EV_DISCONNECTED: "EVDisconnected",
    Why.REMOTE: "Remote",
    Why.DEAUTHORIZED: "DeAuthorized",
    Why.SOFT_RESET: "SoftReset",
    Why.HARD_RESET: "HardReset",
    Why.UNLOCK: "UnlockCommand",
    Why.FAULT: "Other",
}
_NOT_YET = 0  # Replaced by the id the server gives, before the message is sent.


def boot(station: Station) -> v16.BootNotification:
    return v16.BootNotification(
        charge_point_vendor="Simulated",
        charge_point_model="DC-180" if station.plan.dc else "AC-22",
        charge_point_serial_number=station.plan.identity[-25:],
        firmware_version="1.0.0",
        meter_type="simulated",
    )


def heartbeat() -> v16.Heartbeat:
    return v16.Heartbeat()


def authorize(token: str) -> v16.Authorize:
    return v16.Authorize(id_tag=token)


def verdict(response: v16.AuthorizeResponse | v16.StartTransactionResponse) -> bool | None:
    info = getattr(response, "id_tag_info", None)
    return None if info is None else info.status == "Accepted"


def statuses(station: Station, at: datetime) -> list[v16.StatusNotification]:
    itself = v16.StatusNotification(connector_id=0, error_code="NoError", status="Available", timestamp=at)
    return [itself, *(status(outlet, at) for outlet in station.outlets)]


def status_word(outlet: Outlet) -> str:
    return outlet.phase.value


def status(outlet: Outlet, at: datetime) -> v16.StatusNotification:
    return v16.StatusNotification(
        connector_id=outlet.number, error_code=outlet.error, status=status_word(outlet), timestamp=at
    )


def idle_reading(outlet: Outlet, reading: Reading) -> v16.MeterValues:
    value = v16.MeterValue(timestamp=reading.at, sampled_value=_samples(reading, outlet.station.plan.unit))
    return v16.MeterValues(connector_id=outlet.number, meter_value=[value])


def begin(station: Station, session: Session) -> v16.StartTransaction:
    return v16.StartTransaction(
        connector_id=session.outlet,
        id_tag=session.token,
        meter_start=session.begin.register_wh,
        timestamp=session.begin.at,
    )


def authorized(station: Station, session: Session, at: datetime) -> None:
    """1.6 starts with the token: there is nothing to add."""


def meter(station: Station, session: Session, reading: Reading) -> v16.MeterValues:
    value = v16.MeterValue(timestamp=reading.at, sampled_value=_samples(reading, station.plan.unit))
    return v16.MeterValues(connector_id=session.outlet, transaction_id=_NOT_YET, meter_value=[value])


def suspended(station: Station, session: Session, reading: Reading) -> None:
    """1.6 says so in the connector's status."""


def end(station: Station, session: Session) -> v16.StopTransaction:
    data = None
    if station.plan.transaction_data:
        data = [_transaction_value(session.begin), _transaction_value(session.end)]
    return v16.StopTransaction(
        transaction_id=_NOT_YET,
        meter_stop=session.end.register_wh,
        timestamp=session.end.at,
        reason=REASON[session.why],
        id_tag=session.token if session.why is Why.LOCAL else None,
        transaction_data=data,
    )


def addressed(letter: Letter) -> v16.StartTransaction | v16.MeterValues | v16.StopTransaction | None:
    """What follows a start bears the id that the start's answer brought, also when it waited offline."""
    if letter.kind is Kind.BEGIN:
        return letter.message
    if letter.session.transaction_id is None:  # The start was refused for good.
        return None
    return replace(letter.message, transaction_id=int(letter.session.transaction_id))


def acknowledged(letter: Letter, response: v16.StartTransactionResponse) -> None:
    if letter.kind is Kind.BEGIN:
        letter.session.transaction_id = str(response.transaction_id)


def _samples(reading: Reading, unit: str) -> list[v16.SampledValue]:
    register = str(reading.register_wh) if unit == "Wh" else f"{reading.register_wh / 1000:.3f}"
    samples = [
        v16.SampledValue(
            value=register,
            context=reading.context,
            measurand="Energy.Active.Import.Register",
            unit="Wh" if unit == "Wh" else "kWh",
        ),
        v16.SampledValue(
            value=f"{reading.power_w:.0f}", context=reading.context, measurand="Power.Active.Import", unit="W"
        ),
    ]
    if reading.soc is not None:
        soc = v16.SampledValue(
            value=f"{reading.soc:.0f}",
            context=reading.context,
            measurand="SoC",
            unit="Percent",
            location="EV",
        )
        samples.append(soc)
    return samples


def _transaction_value(reading: Reading) -> v16.TransactionMeterValue:
    sample = v16.TransactionSampledValue(
        value=str(reading.register_wh),
        context=reading.context,
        measurand="Energy.Active.Import.Register",
        unit="Wh",
    )
    return v16.TransactionMeterValue(timestamp=reading.at, sampled_value=[sample])
