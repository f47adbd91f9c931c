"""What happened, for those who follow the network: committed together with the change it tells of."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type", gc=False):
    """Something that happened at `at`. Operator and station are the envelope's; energies in Wh, power in W."""

    at: datetime


class StationConnected(Event, tag="station.connected"):
    version: str
    address: str | None = None


class StationDisconnected(Event, tag="station.disconnected"):
    reason: str


class StationBooted(Event, tag="station.booted"):
    registration: str
    vendor: str
    model: str
    firmware: str | None = None
    serial: str | None = None


class ConnectorChanged(Event, tag="connector.changed"):
    evse_id: int
    connector_id: int
    status: str
    detail: str | None = None
    error_code: str | None = None
    error_info: str | None = None


class SessionOpened(Event, tag="session.opened", kw_only=True):
    session: int
    transaction_id: str
    evse_id: int | None = None
    connector_id: int | None = None
    token: str | None = None
    authorization: str
    started_at: datetime


class SessionMetered(Event, tag="session.metered"):
    session: int
    energy_wh: float
    power_w: float | None = None
    soc: float | None = None


class SessionClosed(Event, tag="session.closed"):
    session: int
    transaction_id: str
    ended_at: datetime
    energy_wh: float
    reason: str | None = None
    flags: tuple[str, ...] = ()


class CommandSettled(Event, tag="command.settled"):
    command: int
    action: str
    status: str


class MessageUnmatched(Event, tag="message.unmatched"):
    action: str
    reason: str


AnyEvent = (
    StationConnected
    | StationDisconnected
    | StationBooted
    | ConnectorChanged
    | SessionOpened
    | SessionMetered
    | SessionClosed
    | CommandSettled
    | MessageUnmatched
)
