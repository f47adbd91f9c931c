"""Functional blocks G and H: which connectors there are and whether they are free; heartbeats."""

from __future__ import annotations

import msgspec

from csms.blocks.clock import watch_clock
from csms.blocks.dispatch import Context, answers
from csms.blocks.provisioning import wire_time
from csms.blocks.review import doubt
from csms.domain.events import ConnectorChanged
from csms.domain.sessions import NEEDS_REVIEW, Phase
from csms.domain.stations import WHOLE_STATION, Connector, ConnectorRef, Status, trusted_time
from csms.ocpp import v16, v201

# 1.6 tells the session's phase in the connector status; to us the connector is simply occupied.
STATUS_16: dict[str, tuple[Status, Phase | None]] = {
    "Available": ("available", None),
    "Preparing": ("occupied", None),
    "Charging": ("occupied", "charging"),
    "SuspendedEV": ("occupied", "suspended"),
    "SuspendedEVSE": ("occupied", "suspended"),
    "Finishing": ("occupied", None),
    "Reserved": ("reserved", None),
    "Unavailable": ("unavailable", None),
    "Faulted": ("faulted", None),
}
STATUS_2X: dict[str, Status] = {
    "Available": "available",
    "Occupied": "occupied",
    "Reserved": "reserved",
    "Unavailable": "unavailable",
    "Faulted": "faulted",
}

AVAILABILITY = "availabilitystate"
_AVAILABILITY = {word.casefold(): status for word, status in STATUS_2X.items()}


@answers
async def heartbeat_16(request: v16.Heartbeat, ctx: Context) -> v16.HeartbeatResponse:
    return v16.HeartbeatResponse(current_time=wire_time(ctx))


@answers
async def heartbeat_2x(request: v201.Heartbeat, ctx: Context) -> v201.HeartbeatResponse:
    return v201.HeartbeatResponse(current_time=wire_time(ctx))


@answers
async def status_16(request: v16.StatusNotification, ctx: Context) -> v16.StatusNotificationResponse:
    status, phase = STATUS_16[request.status]
    watch_clock(ctx, request.timestamp)
    if request.connector_id < 0:  # No such place: received, and stored nowhere (T34).
        return v16.StatusNotificationResponse()
    ref = ConnectorRef(request.connector_id, 1 if request.connector_id else 0)
    connector = Connector(
        evse_id=ref.evse_id,
        connector_id=ref.connector_id,
        status=status,
        reported_at=trusted_time(request.timestamp, ctx.now),
        detail=request.status if request.status.lower() != status else None,
        error_code=request.error_code if request.error_code != "NoError" else None,
        error_info=request.info,
        vendor_error_code=request.vendor_error_code,
    )
    _reported(ctx, connector)
    _is_free(ctx, connector)
    if phase is not None and not ctx.station.is_outdated(connector):
        _session_is(ctx, ref, phase)
    return v16.StatusNotificationResponse()


@answers
async def status_2x(request: v201.StatusNotification, ctx: Context) -> v201.StatusNotificationResponse:
    watch_clock(ctx, request.timestamp)
    if request.evse_id < 0 or request.connector_id < 0:
        return v201.StatusNotificationResponse()
    connector = Connector(
        evse_id=request.evse_id,
        connector_id=request.connector_id,
        status=STATUS_2X[request.connector_status],
        reported_at=trusted_time(request.timestamp, ctx.now),
    )
    _reported(ctx, connector)
    _is_free(ctx, connector)
    return v201.StatusNotificationResponse()


def connectors_in_events(ctx: Context, events: list[v201.EventData]) -> list[v201.EventData]:
    """Take the events that tell availability as a StatusNotification would (both are mandatory); gives back the others.

    Of several events about one connector the latest counts.
    """
    latest: dict[ConnectorRef, Connector] = {}
    others = []
    for event in sorted(events, key=lambda event: event.timestamp):
        status = _AVAILABILITY.get(event.actual_value.strip().casefold())
        places = _places(ctx, event.component, status) if event.variable.name.casefold() == AVAILABILITY else None
        if status is None or places is None:
            others.append(event)
            continue
        at = trusted_time(event.timestamp, ctx.now)
        latest |= {ref: Connector(*ref, status, at, error_info=event.tech_info) for ref in places}
    for connector in latest.values():
        _reported(ctx, connector)
        _is_free(ctx, connector)
    return others


def _places(ctx: Context, component: v201.Component, status: Status | None) -> list[ConnectorRef] | None:
    """The connectors that a component's availability is about; None for one that has none."""
    kind, evse = component.name.casefold(), component.evse
    if kind == "chargingstation":
        return [WHOLE_STATION]
    if evse is None or kind not in ("evse", "connector") or evse.id < 0 or (evse.connector_id or 0) < 0:
        return None
    if kind == "connector":
        return [ConnectorRef(evse.id, 1 if evse.connector_id is None else evse.connector_id)]
    known = [ref for ref in ctx.station.connectors or () if ref.evse_id == evse.id]
    if len(known) > 1:  # Occupied or available is one of them, out of order are all.
        return known if status in ("unavailable", "faulted", "reserved") else []
    return known or [ConnectorRef(evse.id, 1)]


def _reported(ctx: Context, connector: Connector) -> None:
    """Any status may follow any other, and connectors we never heard of appear (T36, T37)."""
    if not ctx.station.is_news(connector):
        return
    ctx.unit.connectors.append(connector)
    ctx.unit.events.append(
        ConnectorChanged(
            at=connector.reported_at, evse_id=connector.evse_id, connector_id=connector.connector_id,
            status=connector.status, detail=connector.detail, error_code=connector.error_code,
            error_info=connector.error_info,
        )
    )  # fmt: skip


def _is_free(ctx: Context, connector: Connector) -> None:
    """A session on a connector that is free again has lost its end, or that is still in the station's queue (R5)."""
    if connector.status != "available" or ctx.station.sessions is None or ctx.station.is_outdated(connector):
        return
    for session in ctx.station.open_sessions():
        here = session.evse_id == connector.evse_id and session.connector_id in (None, connector.connector_id)
        if here and session.started_at < connector.reported_at and NEEDS_REVIEW not in session.flags:
            doubt(ctx, session, NEEDS_REVIEW)


def _session_is(ctx: Context, ref: ConnectorRef, phase: Phase) -> None:
    for session in ctx.station.open_sessions():
        if (session.evse_id, session.connector_id) == ref and (session.phase != phase or NEEDS_REVIEW in session.flags):
            flags = tuple(flag for flag in session.flags if flag != NEEDS_REVIEW)  # It goes on, after all.
            ctx.unit.changed.append(msgspec.structs.replace(session, phase=phase, flags=flags))
