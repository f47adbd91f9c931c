"""A unit of work as rows: which statement gets which values.

One statement a table and commit, whatever the number of units (architecture: one commit for many stations).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

import msgspec
from sqlalchemy import Table

from csms.domain.sessions import Mark, Session
from csms.domain.unit import Unit
from csms.storage import tables
from csms.storage.tables import to_us

_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, eq=False)
class Statement:
    """Insert rows, or update rows found by the first `keys` columns. `repeatable` inserts ignore what is there."""

    table: Table
    columns: tuple[str, ...]
    update: bool = False
    upsert: bool = False
    keys: int = 1


_SESSION_FIXED = (
    "operator_id", "station_id", "transaction_id", "start_key", "incarnation", "version", "received_at",
)  # fmt: skip
_SESSION_MOVING = (
    "evse_id", "connector_id", "token", "token_type", "group", "authorization", "started_at", "ended_at",
    "stop_reason", "stop_token", "phase", "meter_start_wh", "meter_stop_wh", "energy_wh", "power_w", "soc", "first",
    "last", "last_digest", "seen", "start_seq", "end_seq", "remote_start_id", "reservation_id", "flags",
)  # fmt: skip
_SAMPLE = (
    "station_id", "session_id", "evse_id", "connector_id", "sampled_at", "received_at", "register_wh", "power_w",
    "soc", "readings",
)  # fmt: skip
_CONNECTOR = (
    "station_id", "evse_id", "connector_id", "status", "detail", "error_code", "error_info", "vendor_error_code",
    "reported_at",
)  # fmt: skip

_NO_ERROR = (None, None, None)

INSERT_SESSION = Statement(tables.sessions, ("id", *_SESSION_FIXED, *_SESSION_MOVING))
UPDATE_SESSION = Statement(tables.sessions, ("id", *_SESSION_MOVING), update=True)
# What most messages of a session move; an update that names no indexed column touches no index.
METER_SESSION = Statement(
    tables.sessions, ("id", "phase", "energy_wh", "power_w", "soc", "last", "last_digest", "seen", "flags"), update=True
)
INSERT_SAMPLE = Statement(tables.samples, _SAMPLE)
UPSERT_CONNECTOR = Statement(tables.connectors, _CONNECTOR, upsert=True, keys=3)
# Most changes tell of no error: three columns that stay null would be a third of what SQLite needs for one.
INSERT_CHANGE = Statement(
    tables.status_changes,
    ("station_id", "evse_id", "connector_id", "status", "detail", "reported_at", "received_at"),
)
INSERT_FAULT = Statement(tables.status_changes, (*_CONNECTOR, "received_at"))
INSERT_UNMATCHED = Statement(tables.unmatched, ("station_id", "received_at", "action", "reason", "payload"))
UPSERT_REPORTED = Statement(tables.reported, ("station_id", "kind", "key", "data", "reported_at"), upsert=True, keys=3)
UPDATE_RESERVATION = Statement(
    tables.reservations, ("station_id", "reservation_id", "status", "session_id", "changed_at"), update=True, keys=2
)
INSERT_NOTED = Statement(
    tables.station_log, ("station_id", "at", "received_at", "kind", "severity", "code", "text", "data")
)
INSERT_EVENTS = Statement(tables.outbox, ("at", "operator", "station", "events"))
UPDATE_BOOT = Statement(
    tables.stations,
    ("id", "vendor", "model", "serial", "firmware", "iccid", "imsi", "registration", "booted_at"),
    update=True,
)
UPDATE_COUNTER = Statement(tables.stations, ("id", "next_transaction"), update=True)
UPDATE_CONNECTED = Statement(tables.stations, ("id", "version", "connected_at", "last_seen_at"), update=True)
UPDATE_GONE = Statement(tables.stations, ("id", "connected_at", "last_seen_at"), update=True)

# Rows that others refer to come first.
ORDER = (
    UPDATE_CONNECTED, UPDATE_GONE, UPDATE_BOOT, UPDATE_COUNTER, UPSERT_CONNECTOR, INSERT_CHANGE, INSERT_FAULT,
    INSERT_SESSION, METER_SESSION, UPDATE_SESSION, INSERT_SAMPLE, INSERT_UNMATCHED, UPSERT_REPORTED, UPDATE_RESERVATION, INSERT_NOTED, INSERT_EVENTS,
)  # fmt: skip

Rows = dict[Statement, list[tuple]]


def rows_of(units: Iterable[Unit]) -> Rows:
    """All rows of these units, by statement."""
    rows: Rows = {statement: [] for statement in ORDER}
    for unit in units:
        _add(unit, rows)
    return {statement: values for statement, values in rows.items() if values}


def _add(unit: Unit, rows: Rows) -> None:
    station, at = unit.station, to_us(unit.at)
    if unit.opened or unit.changed:
        _add_sessions(unit, rows)
    for connector in unit.connectors:
        row = (
            station.id, connector.evse_id, connector.connector_id, connector.status, connector.detail,
            connector.error_code, connector.error_info, connector.vendor_error_code, to_us(connector.reported_at),
        )  # fmt: skip
        rows[UPSERT_CONNECTOR].append(row)
        if row[5:8] == _NO_ERROR:
            rows[INSERT_CHANGE].append((*row[:5], row[8], at))
        else:
            rows[INSERT_FAULT].append((*row, at))
    for metered in unit.metered:
        for reading in metered.readings:
            rows[INSERT_SAMPLE].append((
                station.id, metered.session_id, metered.evse_id, metered.connector_id, to_us(reading.at), at,
                reading.register_wh, reading.power_w, reading.soc, _json(reading.samples).decode(),
            ))  # fmt: skip
    for message in unit.unmatched:
        payload = message.payload.decode("utf-8", "replace")
        rows[INSERT_UNMATCHED].append((station.id, at, message.action, message.reason, payload))
    if unit.reported or unit.noted or unit.reservations:
        _add_reported(unit, at, rows)
    if unit.events:
        rows[INSERT_EVENTS].append((at, station.operator, station.identity, _json(unit.events).decode()))
    if unit.booted or unit.connection or unit.next_transaction:
        _add_station(unit, at, rows)


def _add_reported(unit: Unit, at: int, rows: Rows) -> None:
    station_id = unit.station.id
    for report in unit.reported:
        rows[UPSERT_REPORTED].append((station_id, report.kind, report.key, report.data.decode(), at))
    for moved in unit.reservations:
        rows[UPDATE_RESERVATION].append((station_id, moved.reservation_id, moved.status, moved.session_id, at))
    for note in unit.noted:
        rows[INSERT_NOTED].append((
            station_id, to_us(note.at), at, note.kind, note.severity, note.code, note.text, note.data.decode(),
        ))  # fmt: skip


def _add_station(unit: Unit, at: int, rows: Rows) -> None:
    station, boot = unit.station, unit.booted
    if boot is not None:
        rows[UPDATE_BOOT].append((
            station.id, boot.vendor, boot.model, boot.serial, boot.firmware, boot.iccid, boot.imsi,
            unit.registration or station.registration, at,
        ))  # fmt: skip
    if unit.next_transaction is not None:
        rows[UPDATE_COUNTER].append((station.id, unit.next_transaction))
    if isinstance(unit.connection, tuple):
        version, since = unit.connection
        rows[UPDATE_CONNECTED].append((station.id, version, to_us(since), to_us(since)))
        rows[INSERT_CHANGE].append((station.id, None, None, "online", None, to_us(since), at))
    elif unit.connection is not None:
        rows[UPDATE_GONE].append((station.id, None, to_us(unit.connection)))
        rows[INSERT_CHANGE].append((station.id, None, None, "offline", None, to_us(unit.connection), at))


def _add_sessions(unit: Unit, rows: Rows) -> None:
    station = unit.station
    for session in unit.opened:
        fixed = (
            station.operator_id, station.id, session.transaction_id, session.start_key,
            session.incarnation, session.version,
            to_us(session.received_at),
        )  # fmt: skip
        rows[INSERT_SESSION].append((session.id, *fixed, *_moving(session)))
    for session in {session.id: session for session in unit.changed}.values():
        before = station.sessions.get(session.id) if station.sessions else None
        if before is not None and _settled(before) == _settled(session):
            rows[METER_SESSION].append((
                session.id, session.phase, session.energy_wh, session.power_w, session.soc, _mark(session.last),
                session.last_digest, _json(session.seen).decode(), _json(session.flags).decode(),
            ))  # fmt: skip
        else:
            rows[UPDATE_SESSION].append((session.id, *_moving(session)))


_settled = attrgetter(
    "evse_id", "connector_id", "token", "token_type", "group", "authorization", "started_at", "ended_at", "stop_reason",
    "stop_token", "first", "start_seq", "end_seq", "remote_start_id", "reservation_id",
)  # fmt: skip


def _moving(session: Session) -> tuple:
    first, last = session.first, session.last
    return (
        session.evse_id, session.connector_id, session.token, session.token_type, session.group,
        session.authorization, to_us(session.started_at), _us(session.ended_at), session.stop_reason,
        session.stop_token, session.phase, first.register_wh if first else None,
        last.register_wh if last and session.ended_at else None, session.energy_wh, session.power_w, session.soc,
        _mark(first), _mark(last), session.last_digest, _json(session.seen).decode(), session.start_seq,
        session.end_seq, session.remote_start_id, session.reservation_id, _json(session.flags).decode(),
    )  # fmt: skip


def _us(moment) -> int | None:
    return None if moment is None else to_us(moment)


def _mark(mark: Mark | None) -> str | None:
    return None if mark is None else _json((mark.place, to_us(mark.at), mark.register_wh)).decode()


_read_mark = msgspec.json.Decoder(tuple[int, int, float]).decode
_read_seen = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode
_read_flags = msgspec.json.Decoder(tuple[str, ...]).decode


def mark_from(text: str | None) -> Mark | None:
    if text is None:
        return None
    place, at, register = _read_mark(text)
    return Mark(place, tables.from_us(at), register)


def session_from(row) -> Session:
    """A session from a row of its table (a mapping by column name; times as datetimes)."""
    return Session(
        id=row.id, transaction_id=row.transaction_id, start_key=row.start_key, incarnation=row.incarnation, version=row.version,
        evse_id=row.evse_id, connector_id=row.connector_id, token=row.token, token_type=row.token_type,
        group=row.group, authorization=row.authorization, started_at=row.started_at, received_at=row.received_at,
        ended_at=row.ended_at, stop_reason=row.stop_reason, stop_token=row.stop_token, phase=row.phase,
        first=mark_from(row.first), last=mark_from(row.last), last_digest=row.last_digest, power_w=row.power_w,
        soc=row.soc, seen=_read_seen(row.seen), start_seq=row.start_seq, end_seq=row.end_seq,
        remote_start_id=row.remote_start_id, reservation_id=row.reservation_id, flags=_read_flags(row.flags),
    )  # fmt: skip


def latest(rows: list[tuple], keys: int) -> list[tuple]:
    """Of several new states of one row the last one counts."""
    found = {row[:keys]: row for row in rows}
    return rows if len(found) == len(rows) else list(found.values())
