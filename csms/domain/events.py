"""What happened, for those who follow the network: committed together with the change it tells of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

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


class ClockDrifted(Event, tag="station.clock_drifted"):
    """The station claims a time that cannot be; told once a connection. `ahead_s` of ours, in s; negative: behind."""

    claimed: datetime
    ahead_s: int


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
    """A session has ended. Told again with other figures when what was late or missing comes: the latest holds."""

    session: int
    transaction_id: str
    ended_at: datetime
    energy_wh: float
    reason: str | None = None
    flags: tuple[str, ...] = ()
    incomplete: bool = False  # Messages of it are missing still: nothing to bill yet (G7).


class SessionFlagged(Event, tag="session.flagged"):
    """A session that goes on by what was reported is to be looked at: `superseded`, `needs_review` (R5)."""

    session: int
    transaction_id: str
    flag: str


class CommandSettled(Event, tag="command.settled"):
    command: int
    action: str
    status: str


class MessageUnmatched(Event, tag="message.unmatched"):
    action: str
    reason: str


class SecurityNotified(Event, tag="security.notified"):
    """A security event of the station itself. `severity` as in OCPP 2.x: 0 danger … 9 debug."""

    code: str
    severity: int
    critical: bool
    text: str | None = None


class ComponentNotified(Event, tag="component.notified"):
    """A variable of a component has a value worth telling: a monitor fired, or the station is wired to tell it."""

    component: str
    variable: str
    value: str
    trigger: str
    severity: int
    evse_id: int | None = None
    connector_id: int | None = None
    cleared: bool = False
    transaction_id: str | None = None


class FirmwareProgressed(Event, tag="firmware.progressed"):
    status: str
    request_id: int | None = None
    published: bool = False  # By a local controller, for the stations behind it.


class LogProgressed(Event, tag="log.progressed"):
    """How far the upload of a log is (1.6: of diagnostics, too)."""

    status: str
    request_id: int | None = None


class ReportCompleted(Event, tag="report.completed"):
    """Every part of a report is here. `report` says what of: variables, monitors, …"""

    report: str
    request_id: int
    parts: int


class ReportExceeded(Event, tag="report.exceeded"):
    """A report has more parts than are taken; the rest was answered, not kept."""

    report: str
    request_id: int


class LimitChanged(Event, tag="limit.changed"):
    """Something beside us limits what may be charged, or no longer does."""

    source: str
    evse_id: int = 0  # 0: the whole station.
    cleared: bool = False


class ProfilesReported(Event, tag="profiles.reported"):
    """Charging profiles that are installed."""

    evse_id: int
    source: str
    profiles: tuple[int, ...]


class NeedsReported(Event, tag="needs.reported"):
    """What a car wants; energy in Wh."""

    evse_id: int
    energy_transfer: str
    departure_at: datetime | None = None
    energy_wh: float | None = None


class ScheduleReported(Event, tag="schedule.reported"):
    """How a car means to charge."""

    evse_id: int


class ReservationEnded(Event, tag="reservation.ended"):
    """A reservation holds no longer: expired, removed by the station, or used by a session."""

    reservation: int
    outcome: str
    session: int | None = None


class CertificateRequested(Event, tag="certificate.requested"):
    """A certificate, or word about one, was asked of us; `answer` is what we said."""

    what: str
    answer: str


class DataTransferred(Event, tag="data.transferred"):
    vendor: str
    answer: str
    message: str | None = None


AnyEvent = (
    StationConnected
    | StationDisconnected
    | StationBooted
    | ClockDrifted
    | ConnectorChanged
    | SessionOpened
    | SessionMetered
    | SessionClosed
    | SessionFlagged
    | CommandSettled
    | MessageUnmatched
    | SecurityNotified
    | ComponentNotified
    | FirmwareProgressed
    | LogProgressed
    | ReportCompleted
    | ReportExceeded
    | LimitChanged
    | ProfilesReported
    | NeedsReported
    | ScheduleReported
    | ReservationEnded
    | CertificateRequested
    | DataTransferred
)

TYPES: tuple[str, ...] = tuple(event.__struct_config__.tag for event in AnyEvent.__args__)


class EventFilter(NamedTuple):
    """Which events somebody wants. `operator`: None for all; no types, no stations: all of them."""

    operator: str | None = None
    types: frozenset[str] = frozenset()
    stations: frozenset[str] = frozenset()

    def wants(self, operator: str, station: str, type: str) -> bool:
        return (
            (self.operator is None or self.operator == operator)
            and (not self.types or type in self.types)
            and (not self.stations or station in self.stations)
        )


def types_of(names: Iterable[str]) -> frozenset[str]:
    """Types by name, or by family as in `session.*`; ValueError for what there is not."""
    found: set[str] = set()
    for name in names:
        family = name.removesuffix("*") if name.endswith(".*") else None
        named = [type for type in TYPES if type == name or (family and type.startswith(family))]
        if not named:
            raise ValueError(f"There are no events {name!r}. There are: {', '.join(TYPES)}; or a family as session.*")
        found.update(named)
    return frozenset(found)
