"""Functional blocks B and N: the components and variables of a station, its monitors, and what these notify."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.blocks.availability import connectors_in_events
from csms.blocks.dispatch import Context, answers
from csms.blocks.noting import note
from csms.blocks.reports import keep, takes_part
from csms.blocks.secrets import is_secret
from csms.domain.events import ComponentNotified
from csms.domain.stations import trusted_time
from csms.domain.unit import Noted, Reported
from csms.ocpp import v16, v201

VARIABLE = "variable"
MONITOR = "monitor"
VALUE = "value"  # Of one attribute of a variable, as read or written last.
EVENT = "event"
CONFIGURATION = "configuration"  # 1.6: keys and values.

# How grave a notification is when no monitor of the station says so: 0 danger … 9 debug (2.0.1 N07).
TRIGGER_SEVERITY = {"Alerting": 5, "Delta": 8, "Periodic": 9}
ALERT, NOTICE = 5, 7

UNKNOWN = b"null"  # The station has no such thing: what was known of it no longer holds.

_encode = msgspec.json.Encoder().encode
_read_monitor = msgspec.json.Decoder(dict[str, object]).decode


@answers
async def report(request: v201.NotifyReport, ctx: Context) -> v201.NotifyReportResponse:
    if await takes_part(ctx, "variables", request.request_id, number=request.seq_no, more=request.tbc):
        for data in request.report_data or ():
            keep(ctx, VARIABLE, variable_key(data.component, data.variable), _without_secrets(data))
    return v201.NotifyReportResponse()


@answers
async def monitoring_report(request: v201.NotifyMonitoringReport, ctx: Context) -> v201.NotifyMonitoringReportResponse:
    if await takes_part(ctx, "monitors", request.request_id, number=request.seq_no, more=request.tbc):
        for data in request.monitor or ():
            for monitor in data.variable_monitoring:
                about = {"component": data.component, "variable": data.variable, "monitor": monitor}
                keep(ctx, MONITOR, str(monitor.id), about | {"severity": monitor.severity})
    return v201.NotifyMonitoringReportResponse()


@answers
async def event(request: v201.NotifyEvent, ctx: Context) -> v201.NotifyEventResponse:
    """Each event stands by itself; availability is a connector's status, the rest goes into the log."""
    others = connectors_in_events(ctx, request.event_data)
    monitored = await _monitored_severities(ctx, others)
    await note(ctx, [_notified(ctx, data, monitored.get(data.variable_monitoring_id)) for data in others])
    return v201.NotifyEventResponse()


def variable_key(component: v201.Component, variable: v201.Variable) -> str:
    """One name for a variable of a component: `Connector[left]@1.2/AvailabilityState`."""
    evse = component.evse
    place = "" if evse is None else f"@{evse.id}" if evse.connector_id is None else f"@{evse.id}.{evse.connector_id}"
    return f"{_named(component)}{place}/{_named(variable)}"


def _named(part: v201.Component | v201.Variable) -> str:
    return part.name if part.instance is None else f"{part.name}[{part.instance}]"


def _without_secrets(data: v201.ReportData) -> v201.ReportData:
    """A value that can only be written is a password; a station that tells it all the same is not believed."""
    if all(attribute.mutability != "WriteOnly" for attribute in data.variable_attribute):
        return data
    attributes = [
        msgspec.structs.replace(attribute, value=None) if attribute.mutability == "WriteOnly" else attribute
        for attribute in data.variable_attribute
    ]
    return msgspec.structs.replace(data, variable_attribute=attributes)


async def _monitored_severities(ctx: Context, events: list[v201.EventData]) -> dict[int | None, int]:
    """The severities the station gave its monitors, as far as it reported them."""
    ids = {str(data.variable_monitoring_id) for data in events if data.variable_monitoring_id is not None}
    if not ids:
        return {}
    found = await ctx.records.reported(ctx.station.id, MONITOR, ids)
    severities = {int(id): _read_monitor(monitor).get("severity") for id, monitor in found.items()}
    return {id: severity for id, severity in severities.items() if isinstance(severity, int)}


def _notified(ctx: Context, data: v201.EventData, severity: int | None) -> tuple[Noted, ComponentNotified]:
    if severity is None:
        severity = TRIGGER_SEVERITY.get(data.trigger, ALERT)
    if data.cleared:
        severity = max(severity, NOTICE)  # It is over.
    at = trusted_time(data.timestamp, ctx.now)
    code = variable_key(data.component, data.variable)
    evse = data.component.evse
    return Noted(at, EVENT, severity, code, data.actual_value, _encode(data)), ComponentNotified(
        at=at, component=_named(data.component), variable=_named(data.variable), value=data.actual_value,
        trigger=data.trigger, severity=severity, evse_id=evse.id if evse else None,
        connector_id=evse.connector_id if evse else None, cleared=bool(data.cleared),
        transaction_id=data.transaction_id,
    )  # fmt: skip


@settles
def configuration(request: v16.GetConfiguration, response: v16.GetConfigurationResponse | None) -> Iterator[Reported]:
    for entry in (response.configuration_key or ()) if response is not None else ():
        value = None if is_secret(entry.key) else entry.value
        yield Reported(CONFIGURATION, entry.key, _encode({"value": value, "readonly": entry.readonly}))
    for key in (response.unknown_key or ()) if response is not None else ():
        yield Reported(CONFIGURATION, key, UNKNOWN)


@settles
def configured(
    request: v16.ChangeConfiguration, response: v16.ChangeConfigurationResponse | None
) -> Iterator[Reported]:
    if response is not None and response.status in ("Accepted", "RebootRequired") and not is_secret(request.key):
        yield Reported(CONFIGURATION, request.key, _encode({"value": request.value, "readonly": False}))


@settles
def variables(request: v201.GetVariables, response: v201.GetVariablesResponse | None) -> Iterator[Reported]:
    for result in response.get_variable_result if response is not None else ():
        if result.attribute_status == "Accepted" and not is_secret(result.variable.name):
            yield _variable(result.component, result.variable, result.attribute_type, result.attribute_value)
        elif result.attribute_status in ("UnknownComponent", "UnknownVariable", "NotSupportedAttributeType"):
            yield Reported(VALUE, _value_key(result.component, result.variable, result.attribute_type), UNKNOWN)


@settles
def variables_set(request: v201.SetVariables, response: v201.SetVariablesResponse | None) -> Iterator[Reported]:
    """What was taken over at once; after a reboot the station is the one to say."""
    taken = {
        (variable_key(result.component, result.variable), result.attribute_type or "Actual")
        for result in (response.set_variable_result if response is not None else ())
        if result.attribute_status == "Accepted"
    }
    for data in request.set_variable_data:
        place = variable_key(data.component, data.variable), data.attribute_type or "Actual"
        if place in taken and not is_secret(data.variable.name):
            yield _variable(data.component, data.variable, data.attribute_type, data.attribute_value)


def _value_key(component: v201.Component, variable: v201.Variable, attribute: str | None) -> str:
    return f"{variable_key(component, variable)}:{attribute or 'Actual'}"


def _variable(component: v201.Component, variable: v201.Variable, attribute: str | None, value: str | None) -> Reported:
    """Kept under a key of its own: a report tells more of the variable, and both are shown."""
    key = _value_key(component, variable, attribute)
    return Reported(VALUE, key, _encode({"component": component, "variable": variable, "value": value}))
