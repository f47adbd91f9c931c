"""What a 2.0.1 station does about the server's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csms.ocpp import v201
from simulators.session import Session, Why
from simulators.settings import READ_ONLY, VARIABLES, is_acceptable

if TYPE_CHECKING:
    from simulators.outlet import Outlet
    from simulators.station import Station


def request_start(station: Station, request: v201.RequestStartTransaction) -> v201.RequestStartTransactionResponse:
    outlet = station.free_outlet() if request.evse_id is None else station.outlet(request.evse_id)
    token = request.id_token.id_token
    accepted = outlet is not None and not station.closing and outlet.start_remotely(token, request.remote_start_id)
    return v201.RequestStartTransactionResponse(status=_accepted(accepted))


def request_stop(station: Station, request: v201.RequestStopTransaction) -> v201.RequestStopTransactionResponse:
    outlet = station.outlet_charging(request.transaction_id)
    if outlet is not None:
        station.soon(_stop_if_same, outlet, outlet.session)
    return v201.RequestStopTransactionResponse(status=_accepted(outlet is not None))


def transaction_status(station: Station, request: v201.GetTransactionStatus) -> v201.GetTransactionStatusResponse:
    queued = len(station.mail) > 0
    if request.transaction_id is None:  # E14.FR.06: then `ongoingIndicator` is left out.
        return v201.GetTransactionStatusResponse(messages_in_queue=queued)
    ongoing = station.outlet_charging(request.transaction_id) is not None
    return v201.GetTransactionStatusResponse(messages_in_queue=queued, ongoing_indicator=ongoing)


def reset(station: Station, request: v201.Reset) -> v201.ResetResponse:
    if request.evse_id is not None:  # B11.FR.09: a station that cannot reset a single EVSE.
        return v201.ResetResponse(status="Rejected")
    if request.type == "Immediate":
        station.world.clock.later(1.0, station.reset, Why.HARD_RESET)
        return v201.ResetResponse(status="Accepted")
    station.soon(station.reset_when_idle)
    busy = any(outlet.session is not None for outlet in station.outlets)
    return v201.ResetResponse(status="Scheduled" if busy else "Accepted")


def unlock(station: Station, request: v201.UnlockConnector) -> v201.UnlockConnectorResponse:
    outlet = station.outlet(request.evse_id)
    if outlet is None or request.connector_id != 1:
        return v201.UnlockConnectorResponse(status="UnknownConnector")
    if outlet.session is not None:  # F05.FR.02
        return v201.UnlockConnectorResponse(status="OngoingAuthorizedTransaction")
    return v201.UnlockConnectorResponse(status="Unlocked")


def change_availability(station: Station, request: v201.ChangeAvailability) -> v201.ChangeAvailabilityResponse:
    wanted = station.outlets if request.evse is None else [station.outlet(request.evse.id)]
    if wanted == [None]:
        return v201.ChangeAvailabilityResponse(status="Rejected")
    busy = any(outlet.session is not None for outlet in wanted)
    for outlet in wanted:
        station.soon(outlet.set_operative, request.operational_status == "Operative")
    return v201.ChangeAvailabilityResponse(status="Scheduled" if busy else "Accepted")


def get_variables(station: Station, request: v201.GetVariables) -> v201.GetVariablesResponse:
    return v201.GetVariablesResponse(
        get_variable_result=[_variable(station, wanted) for wanted in request.get_variable_data]
    )


def _variable(station: Station, wanted: v201.GetVariableData) -> v201.GetVariableResult:
    key, status = _key(wanted)
    if key is not None and wanted.attribute_type not in (None, "Actual"):
        key, status = None, "NotSupportedAttributeType"
    return v201.GetVariableResult(
        attribute_status=status,
        component=wanted.component,
        variable=wanted.variable,
        attribute_type=wanted.attribute_type,
        attribute_value=None if key is None else station.settings.get(key),
    )


def set_variables(station: Station, request: v201.SetVariables) -> v201.SetVariablesResponse:
    return v201.SetVariablesResponse(
        set_variable_result=[_set_variable(station, wanted) for wanted in request.set_variable_data]
    )


def _set_variable(station: Station, wanted: v201.SetVariableData) -> v201.SetVariableResult:
    key, status = _key(wanted)
    if key is not None:
        if key in READ_ONLY or not is_acceptable(station.settings.get(key), wanted.attribute_value):
            status = "Rejected"
        else:
            station.settings.change(key, wanted.attribute_value)
    return v201.SetVariableResult(
        attribute_status=status,
        component=wanted.component,
        variable=wanted.variable,
        attribute_type=wanted.attribute_type,
    )


def _key(wanted: v201.GetVariableData | v201.SetVariableData) -> tuple[str | None, str]:
    """The setting a variable means and the status that says whether there is one."""
    key = VARIABLES.get((wanted.component.name, wanted.variable.name))
    if key is not None:
        return key, "Accepted"
    known = any(component == wanted.component.name for component, _ in VARIABLES)
    return None, "UnknownVariable" if known else "UnknownComponent"


def trigger(station: Station, request: v201.TriggerMessage) -> v201.TriggerMessageResponse:
    outlets = station.outlets if request.evse is None else [station.outlet(request.evse.id)]
    if outlets == [None]:
        return v201.TriggerMessageResponse(status="Rejected")
    match request.requested_message:
        case "BootNotification":
            station.soon(station.boot_now)
        case "Heartbeat":
            station.soon(station.beat_now)
        case "StatusNotification":
            for outlet in outlets:
                station.soon(lambda outlet=outlet: outlet.tell_status(anyway=True))
        case "MeterValues":
            for outlet in outlets:
                station.soon(station.report_meter, outlet)
        case "TransactionEvent":
            for outlet in outlets:
                if outlet.session is not None:
                    station.soon(station.report_meter, outlet)
        case _:
            return v201.TriggerMessageResponse(status="NotImplemented")
    return v201.TriggerMessageResponse(status="Accepted")


def clear_cache(station: Station, request: v201.ClearCache) -> v201.ClearCacheResponse:
    return v201.ClearCacheResponse(status="Accepted")


def data_transfer(station: Station, request: v201.DataTransfer) -> v201.DataTransferResponse:
    return v201.DataTransferResponse(status="UnknownVendorId")


def local_list_version(station: Station, request: v201.GetLocalListVersion) -> v201.GetLocalListVersionResponse:
    return v201.GetLocalListVersionResponse(version_number=0)


def _stop_if_same(outlet: Outlet, session: Session) -> None:
    if outlet.session is session:
        outlet.stop(Why.REMOTE)


def _accepted(yes: bool) -> str:
    return "Accepted" if yes else "Rejected"


ANSWERS = {
    "RequestStartTransaction": request_start,
    "RequestStopTransaction": request_stop,
    "GetTransactionStatus": transaction_status,
    "Reset": reset,
    "UnlockConnector": unlock,
    "ChangeAvailability": change_availability,
    "GetVariables": get_variables,
    "SetVariables": set_variables,
    "TriggerMessage": trigger,
    "ClearCache": clear_cache,
    "DataTransfer": data_transfer,
    "GetLocalListVersion": local_list_version,
}
