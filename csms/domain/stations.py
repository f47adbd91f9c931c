"""Stations, EVSEs and connectors: what we know of a charger while it is with us."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from csms.domain.quirks import Quirk
from csms.domain.sessions import Session

Registration = Literal["accepted", "pending", "rejected"]
Status = Literal["available", "occupied", "reserved", "unavailable", "faulted"]

NO_CLOCK_BEFORE = 2010  # A timestamp of an earlier year comes from a station that has lost its clock.
NO_CLOCK_AFTER = timedelta(days=1)  # … as does one further ahead of ours than any time zone.


class ConnectorRef(NamedTuple):
    """A place at a station. OCPP 1.6 connector n is (n, 1); (0, 0) is the station as a whole."""

    evse_id: int
    connector_id: int


MAX_IDENTITY = 48
WHOLE_STATION = ConnectorRef(0, 0)


class Connector(msgspec.Struct, frozen=True, gc=False):
    """What a connector last reported. `detail` is the station's own word where it says more than `status`."""

    evse_id: int
    connector_id: int
    status: Status
    reported_at: datetime
    detail: str | None = None
    error_code: str | None = None
    error_info: str | None = None
    vendor_error_code: str | None = None

    @property
    def ref(self) -> ConnectorRef:
        return ConnectorRef(self.evse_id, self.connector_id)


class Boot(msgspec.Struct, frozen=True, gc=False):
    """What a station says of itself when it boots."""

    vendor: str
    model: str
    serial: str | None = None
    firmware: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    reason: str | None = None


class Station:
    """The hot state of one station: loaded when it connects, changed only by a unit of work that was committed.

    One object for each connected station of the network, so each slot counts; what is empty is None.
    `link` is the conversation it is reached by, or None while its last work is being finished.
    """

    __slots__ = (
        "admission", "boot_told", "busy", "clock_told", "common_name", "connectors", "epoch", "id", "identity", "link", "newest_start", "next_transaction",
        "operator", "operator_id", "provoked", "quirk", "registration", "sessions", "strict",
    )  # fmt: skip

    def __init__(self, id: int, operator_id: int, operator: str, identity: str):
        self.id = id
        self.operator_id = operator_id
        self.operator = operator
        self.identity = identity
        self.epoch = 0  # Grows when the station changes nodes: what a former holder still decides does not count.
        self.registration: Registration | None = None  # What its last boot was answered.
        self.admission: Registration = "accepted"  # What the operator decided: the answer to its next boot.
        self.strict = False
        self.quirk: Quirk | None = None  # What its model is known to get wrong.
        self.next_transaction = 1  # 1.6 transaction ids: positive, unique for the station's life (T05, T06).
        self.connectors: dict[ConnectorRef, Connector] | None = None
        self.sessions: dict[int, Session] | None = None  # The open ones, by our id.
        self.newest_start: datetime | None = None  # Of any session it had: a later start is a new one.
        self.common_name: str | None = None  # Of the certificate it showed (security profile 3).
        self.provoked: frozenset[str] | None = None  # What we asked for before its boot was accepted.
        self.boot_told: int | None = None  # The hash of what its last boot on this connection said.
        self.clock_told = False  # Whether it was told that its clock is wrong.
        self.link: object | None = None
        self.busy = False  # One unit of work of a station at a time.

    def is_booted_as(self, boot: Boot) -> bool:
        """Whether it said just this on this connection already, and would be answered the same.

        A 2.x station that is accepted and names another reason than being asked has restarted, whatever its connection.
        """
        again = boot.reason in (None, "Triggered") or self.registration != "accepted"
        return again and self.boot_told == hash(boot) and self.admission == self.registration

    def open_sessions(self) -> list[Session]:
        return list(self.sessions.values()) if self.sessions else []

    def open_session(self, transaction_id: str) -> Session | None:
        for session in self.open_sessions():
            if session.transaction_id == transaction_id:
                return session
        return None

    def is_outdated(self, connector: Connector) -> bool:
        """Whether a later report of the same connector came before this one (T39, 1.6 4.9)."""
        known = (self.connectors or {}).get(connector.ref)
        return known is not None and connector.reported_at < known.reported_at

    def is_news(self, connector: Connector) -> bool:
        """Whether a report changes what we know; an outdated one does not."""
        known = (self.connectors or {}).get(connector.ref)
        return known is None or not (self.is_outdated(connector) or _same_report(known, connector))


def _same_report(known: Connector, reported: Connector) -> bool:
    return (
        known.status == reported.status
        and known.detail == reported.detail
        and known.error_code == reported.error_code
        and known.error_info == reported.error_info
        and known.vendor_error_code == reported.vendor_error_code
    )


def trusted_time(claimed: datetime | None, received_at: datetime) -> datetime:
    """The station's time where it can be one, else ours (T49: 1970 and 2000 come from stations without a clock).

    A time far ahead would outrank every true one that follows: the connector, the register would stand still (I4).
    """
    if claimed is None or claimed.year < NO_CLOCK_BEFORE or claimed - received_at > NO_CLOCK_AFTER:
        return received_at
    return claimed


def is_identity(name: str) -> bool:
    """1-48 printable characters; no colon, which ends the name in Basic credentials. Paths hold it percent-encoded."""
    return 0 < len(name) <= MAX_IDENTITY and name.isprintable() and ":" not in name and bool(name.strip())
