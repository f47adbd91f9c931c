"""A unit of work: everything one message changes, kept together or not at all."""

from __future__ import annotations

from datetime import datetime

from csms.domain.events import AnyEvent
from csms.domain.quirks import Quirk
from csms.domain.sessions import Reading, Session
from csms.domain.stations import Boot, Connector, Registration, Station


class Metered:
    """Readings of one place, for one session or for none."""

    __slots__ = ("connector_id", "evse_id", "readings", "session_id")

    def __init__(self, session_id: int | None, evse_id: int | None, connector_id: int | None, readings: list[Reading]):
        self.session_id = session_id
        self.evse_id = evse_id
        self.connector_id = connector_id
        self.readings = readings


class Unmatched:
    """A message that concerns nothing we know: kept raw, with the reason."""

    __slots__ = ("action", "payload", "reason")

    def __init__(self, action: str, payload: bytes, reason: str):
        self.action = action
        self.payload = payload
        self.reason = reason


class Reported:
    """The latest a station says of itself under a name: a variable, a limit, how far an update is. JSON, as sent.

    `data` is `b"null"` for what no longer holds.
    """

    __slots__ = ("data", "key", "kind")

    def __init__(self, kind: str, key: str, data: bytes):
        self.kind = kind
        self.key = key
        self.data = data


class ReservationMoved:
    """A reservation is over: cancelled, used by a session, expired or removed."""

    __slots__ = ("reservation_id", "session_id", "status")

    def __init__(self, reservation_id: int, status: str, session_id: int | None = None):
        self.reservation_id = reservation_id
        self.status = status
        self.session_id = session_id


class Noted:
    """An entry of a station's log, kept for good. `severity` as in OCPP 2.x: 0 danger … 9 debug."""

    __slots__ = ("at", "code", "data", "kind", "severity", "text")

    def __init__(self, at: datetime, kind: str, severity: int, code: str, text: str | None, data: bytes):
        self.at = at
        self.kind = kind
        self.severity = severity
        self.code = code
        self.text = text
        self.data = data


class Unit:
    """What a handler decided. Storage makes it durable; `apply` then changes the station's hot state, never before."""

    __slots__ = (
        "at", "booted", "changed", "clock_told", "connection", "connectors", "events", "metered", "next_transaction", "noted",
        "opened", "quirk", "registration", "reported", "reservations", "station", "unmatched",
    )  # fmt: skip

    def __init__(self, station: Station, at: datetime):
        self.station = station
        self.at = at
        self.connectors: list[Connector] = []
        self.opened: list[Session] = []
        self.changed: list[Session] = []
        self.metered: list[Metered] = []
        self.events: list[AnyEvent] = []
        self.unmatched: list[Unmatched] = []
        self.reported: list[Reported] = []
        self.noted: list[Noted] = []
        self.reservations: list[ReservationMoved] = []
        self.booted: Boot | None = None
        self.quirk: Quirk | None = None  # Of the model that booted.
        self.registration: Registration | None = None
        self.clock_told = False
        self.next_transaction: int | None = None
        self.connection: tuple[str, datetime] | datetime | None = None  # (version, since) connected; time: gone.

    @property
    def empty(self) -> bool:
        return not (
            self.events or self.connectors or self.opened or self.changed or self.metered or self.unmatched
            or self.reported or self.noted or self.reservations or self.booted or self.registration or self.connection
        )  # fmt: skip

    def session(self, transaction_id: str) -> Session | None:
        """An open session as this unit sees it: its own changes first."""
        for session in (*self.changed, *self.opened):
            if session.transaction_id == transaction_id:
                return session
        return self.station.open_session(transaction_id)

    def apply(self) -> None:
        """The unit is durable: the hot state follows."""
        station = self.station
        if self.registration is not None:
            station.registration = self.registration
            station.provoked = None
        if self.booted is not None:
            station.quirk = self.quirk
            station.boot_told = hash(self.booted)
        if self.clock_told:
            station.clock_told = True
        if self.next_transaction is not None:
            station.next_transaction = self.next_transaction
        for connector in self.connectors:
            if station.connectors is None:
                station.connectors = {}
            station.connectors[connector.ref] = connector
        for session in self.opened:
            if station.newest_start is None or session.started_at > station.newest_start:
                station.newest_start = session.started_at
        for session in (*self.opened, *self.changed):
            self._keep(station, session)

    @staticmethod
    def _keep(station: Station, session: Session) -> None:
        if session.is_open:
            if station.sessions is None:
                station.sessions = {}
            station.sessions[session.id] = session
        elif station.sessions is not None:
            station.sessions.pop(session.id, None)
            station.sessions = station.sessions or None
