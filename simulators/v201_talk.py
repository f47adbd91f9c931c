"""A station's words in OCPP 2.0.1."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from csms.ocpp import v201
from csms.ocpp.version import Version
from simulators import v201_commands
from simulators.mailbox import Letter
from simulators.outlet import Phase
from simulators.session import Reading, Session, Why

if TYPE_CHECKING:
    from simulators.outlet import Outlet
    from simulators.station import Station

version = Version.V201
answers = v201_commands.ANSWERS

REASON = {  # Why it ended: stopped reason and trigger of the last event.
    Why.LOCAL: ("Local", "StopAuthorized"),
    Why.EV_DISCONNECTED: ("EVDisconnected", "EVDeparted"),
    Why.REMOTE: ("Remote", "RemoteStop"),
    Why.DEAUTHORIZED: ("DeAuthorized", "Deauthorized"),
    Why.SOFT_RESET: ("Reboot", "ResetCommand"),
    Why.HARD_RESET: ("ImmediateReset", "ResetCommand"),
    Why.UNLOCK: ("Remote", "UnlockCommand"),
    Why.FAULT: ("GroundFault", "AbnormalCondition"),
}
STATUS = {
    Phase.AVAILABLE: "Available",
    Phase.PREPARING: "Occupied",
    Phase.CHARGING: "Occupied",
    Phase.SUSPENDED_EV: "Occupied",
    Phase.FINISHING: "Occupied",
    Phase.UNAVAILABLE: "Unavailable",
    Phase.FAULTED: "Faulted",
}
UNITS = {  # How a station writes its register: unit, multiplier, and what its value is multiplied by in Wh.
    "Wh": (None, 1),
    "kWh": (v201.UnitOfMeasure(unit="kWh"), 1000),
    "Wh*10^3": (v201.UnitOfMeasure(unit="Wh", multiplier=3), 1000),
    "kWh*10^-3": (v201.UnitOfMeasure(unit="kWh", multiplier=-3), 1),
}
_WATT = v201.UnitOfMeasure(unit="W")
_PERCENT = v201.UnitOfMeasure(unit="Percent")


def boot(station: Station) -> v201.BootNotification:
    return v201.BootNotification(
        reason=station.registration.reason,
        charging_station=v201.ChargingStation(
            vendor_name="Simulated",
            model="DC-180" if station.plan.dc else "AC-22",
            serial_number=station.plan.identity[-25:],
            firmware_version="1.0.0",
        ),
    )


def heartbeat() -> v201.Heartbeat:
    return v201.Heartbeat()


def authorize(token: str) -> v201.Authorize:
    return v201.Authorize(id_token=_token(token))


def verdict(response: v201.AuthorizeResponse | v201.TransactionEventResponse) -> bool | None:
    info = getattr(response, "id_token_info", None)
    return None if info is None else info.status == "Accepted"


def statuses(station: Station, at: datetime) -> list[v201.StatusNotification]:
    return [status(outlet, at) for outlet in station.outlets]


def status_word(outlet: Outlet) -> str:
    return STATUS[outlet.phase]


def status(outlet: Outlet, at: datetime) -> v201.StatusNotification:
    return v201.StatusNotification(
        timestamp=at, connector_status=status_word(outlet), evse_id=outlet.number, connector_id=1
    )


def idle_reading(outlet: Outlet, reading: Reading) -> v201.MeterValues:
    return v201.MeterValues(evse_id=outlet.number, meter_value=[_value(outlet.station, reading)])


def begin(station: Station, session: Session) -> v201.TransactionEvent:
    if session.transaction_id is None:
        session.transaction_id = station.new_transaction_id()
    if session.remote_start_id is not None:
        trigger, state = "RemoteStart", "Charging"
    elif session.token is None:
        trigger, state = "CablePluggedIn", "EVConnected"
    else:
        trigger, state = "Authorized", "Charging"
    return _event(
        station,
        session,
        "Started",
        trigger,
        session.begin,
        state=state,
        evse=v201.EVSE(id=session.outlet, connector_id=1),
        id_token=session.token and _token(session.token),
    )


def authorized(station: Station, session: Session, at: datetime) -> v201.TransactionEvent:
    return _event(
        station,
        session,
        "Updated",
        "Authorized",
        None,
        at=at,
        state="Charging",
        id_token=_token(session.token),
    )


def meter(station: Station, session: Session, reading: Reading) -> v201.TransactionEvent:
    return _event(station, session, "Updated", "MeterValuePeriodic", reading)


def suspended(station: Station, session: Session, reading: Reading) -> v201.TransactionEvent:
    return _event(station, session, "Updated", "ChargingStateChanged", reading, state="SuspendedEV")


def end(station: Station, session: Session) -> v201.TransactionEvent:
    reason, trigger = REASON[session.why]
    return _event(
        station,
        session,
        "Ended",
        trigger,
        session.end,
        reason=reason,
        state="Idle" if session.why is Why.EV_DISCONNECTED else "EVConnected",
        id_token=_token(session.token) if session.why is Why.LOCAL and session.token else None,
    )


def addressed(letter: Letter) -> v201.TransactionEvent:
    return letter.message


def acknowledged(letter: Letter, response: v201.TransactionEventResponse) -> None:
    """The transaction id is the station's own: there is nothing to learn."""


def _event(
    station: Station,
    session: Session,
    kind: str,
    trigger: str,
    reading: Reading | None,
    *,
    at: datetime | None = None,
    state: str | None = None,
    reason: str | None = None,
    evse: v201.EVSE | None = None,
    id_token: v201.IdToken | None = None,
) -> v201.TransactionEvent:
    seq_no, session.seq_no = session.seq_no, session.seq_no + 1
    return v201.TransactionEvent(
        event_type=kind,
        timestamp=at or reading.at,
        trigger_reason=trigger,
        seq_no=seq_no,
        transaction_info=v201.Transaction(
            transaction_id=session.transaction_id,
            charging_state=state,
            stopped_reason=reason,
            remote_start_id=session.remote_start_id,
        ),
        meter_value=None if reading is None else [_value(station, reading)],
        offline=None if station.online else True,
        evse=evse,
        id_token=id_token,
    )


def _value(station: Station, reading: Reading) -> v201.MeterValue:
    unit, wh = UNITS[station.plan.unit]
    context = reading.context
    samples = [
        v201.SampledValue(
            value=reading.register_wh if wh == 1 else reading.register_wh / wh,
            context=context,
            measurand="Energy.Active.Import.Register",
            unit_of_measure=unit,
        ),
        v201.SampledValue(
            value=round(reading.power_w),
            context=context,
            measurand="Power.Active.Import",
            unit_of_measure=_WATT,
        ),
    ]
    if reading.soc is not None:
        soc = v201.SampledValue(
            value=round(reading.soc),
            context=context,
            measurand="SoC",
            location="EV",
            unit_of_measure=_PERCENT,
        )
        samples.append(soc)
    return v201.MeterValue(timestamp=reading.at, sampled_value=samples)


def _token(value: str) -> v201.IdToken:
    return v201.IdToken(id_token=value, type="ISO14443")
