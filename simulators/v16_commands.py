"""What a 1.6 station does about the server's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csms.ocpp import v16
from simulators.session import Why
from simulators.settings import DEFAULTS, READ_ONLY, is_acceptable

if TYPE_CHECKING:
    from simulators.station import Station

_RESET = {"Soft": Why.SOFT_RESET, "Hard": Why.HARD_RESET}


def remote_start(station: Station, request: v16.RemoteStartTransaction) -> v16.RemoteStartTransactionResponse:
    named = request.connector_id is not None
    outlet = station.outlet(request.connector_id) if named else station.free_outlet()
    accepted = outlet is not None and not station.closing and outlet.start_remotely(request.id_tag)
    return v16.RemoteStartTransactionResponse(status=_accepted(accepted))


def remote_stop(station: Station, request: v16.RemoteStopTransaction) -> v16.RemoteStopTransactionResponse:
    outlet = station.outlet_charging(str(request.transaction_id))
    if outlet is not None:
        station.soon(_stop_if_same, outlet, outlet.session)
    return v16.RemoteStopTransactionResponse(status=_accepted(outlet is not None))


def reset(station: Station, request: v16.Reset) -> v16.ResetResponse:
    station.world.clock.later(1.0, station.reset, _RESET[request.type])
    return v16.ResetResponse(status="Accepted")


def unlock(station: Station, request: v16.UnlockConnector) -> v16.UnlockConnectorResponse:
    outlet = station.outlet(request.connector_id)
    if outlet is None:
        return v16.UnlockConnectorResponse(status="NotSupported")
    if outlet.session is not None:  # 1.6 5.18: unlocking ends the transaction first.
        station.soon(_stop_if_same, outlet, outlet.session, Why.UNLOCK)
    return v16.UnlockConnectorResponse(status="Unlocked")


def change_availability(station: Station, request: v16.ChangeAvailability) -> v16.ChangeAvailabilityResponse:
    wanted = station.outlets if request.connector_id == 0 else [station.outlet(request.connector_id)]
    if wanted == [None]:
        return v16.ChangeAvailabilityResponse(status="Rejected")
    operative = request.type == "Operative"
    busy = any(outlet.session is not None for outlet in wanted)
    for outlet in wanted:
        station.soon(outlet.set_operative, operative)
    return v16.ChangeAvailabilityResponse(status="Scheduled" if busy else "Accepted")


def get_configuration(station: Station, request: v16.GetConfiguration) -> v16.GetConfigurationResponse:
    keys = request.key or list(DEFAULTS)
    known = [key for key in keys if station.settings.get(key) is not None]
    return v16.GetConfigurationResponse(
        configuration_key=[
            v16.KeyValue(key=key, readonly=key in READ_ONLY, value=station.settings.get(key)) for key in known
        ],
        unknown_key=[key for key in keys if key not in known] or None,
    )


def change_configuration(station: Station, request: v16.ChangeConfiguration) -> v16.ChangeConfigurationResponse:
    if station.settings.get(request.key) is None:
        return v16.ChangeConfigurationResponse(status="NotSupported")
    if request.key in READ_ONLY or not is_acceptable(station.settings.get(request.key), request.value):
        return v16.ChangeConfigurationResponse(status="Rejected")
    station.settings.change(request.key, request.value)
    return v16.ChangeConfigurationResponse(status="Accepted")


def trigger(station: Station, request: v16.TriggerMessage) -> v16.TriggerMessageResponse:
    outlets = station.outlets if not request.connector_id else [station.outlet(request.connector_id)]
    if outlets == [None]:
        return v16.TriggerMessageResponse(status="Rejected")
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
        case _:
            return v16.TriggerMessageResponse(status="NotImplemented")
    return v16.TriggerMessageResponse(status="Accepted")


def clear_cache(station: Station, request: v16.ClearCache) -> v16.ClearCacheResponse:
    return v16.ClearCacheResponse(status="Accepted")


def data_transfer(station: Station, request: v16.DataTransfer) -> v16.DataTransferResponse:
    return v16.DataTransferResponse(status="UnknownVendorId")


def local_list_version(station: Station, request: v16.GetLocalListVersion) -> v16.GetLocalListVersionResponse:
    return v16.GetLocalListVersionResponse(list_version=-1)  # 1.6 5.10: local lists are not supported.


def _stop_if_same(outlet, session, why: Why = Why.REMOTE) -> None:
    if outlet.session is session:
        outlet.stop(why)


def _accepted(yes: bool) -> str:
    return "Accepted" if yes else "Rejected"


ANSWERS = {
    "RemoteStartTransaction": remote_start,
    "RemoteStopTransaction": remote_stop,
    "Reset": reset,
    "UnlockConnector": unlock,
    "ChangeAvailability": change_availability,
    "GetConfiguration": get_configuration,
    "ChangeConfiguration": change_configuration,
    "TriggerMessage": trigger,
    "ClearCache": clear_cache,
    "DataTransfer": data_transfer,
    "GetLocalListVersion": local_list_version,
}
