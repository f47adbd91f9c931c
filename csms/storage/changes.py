"""Keeps what an answer to a question of ours changed, in the transaction that settles the question."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import singledispatch
from typing import Any

import msgspec
import sqlalchemy as sa

from csms.domain.asked import (
    CertificateSettled,
    Change,
    Forgotten,
    ListInstalled,
    PasswordSettled,
    ProfileInstalled,
    ProfilesCleared,
    ReportExpected,
    ReservationMade,
)  # fmt: skip
from csms.domain.reports import REPORT, Report, report_key
from csms.domain.unit import Reported, ReservationMoved
from csms.storage.tables import certificates, charging_profiles, counters, local_lists, reported, reservations, stations

_text = msgspec.json.Encoder().encode
ASKED = "asked"  # The counter of ids that the system gives.
MAX_ID = 0x7FFFFFFF


def keep(connection: sa.Connection, station_id: int, changes: Iterable[Change], now: datetime) -> None:
    for change in changes:
        _keep(change, connection, station_id, now)


def next_id(connection: sa.Connection) -> int:
    """An id that no question had before: positive, 31-bit, durable."""
    moved = sa.update(counters).where(counters.c.name == ASKED).values(value=counters.c.value + 1)
    if not connection.execute(moved).rowcount:
        connection.execute(sa.insert(counters).values(name=ASKED, value=1))
    value = connection.execute(sa.select(counters.c.value).where(counters.c.name == ASKED)).scalar_one()
    return (value - 1) % MAX_ID + 1


def next_list_version(connection: sa.Connection, station_id: int) -> int:
    """Above every version that the station had: of ours, or as it says itself (T81)."""
    ours = connection.execute(sa.select(local_lists.c.version).where(local_lists.c.station_id == station_id)).scalar()
    said = connection.execute(
        sa.select(reported.c.data).where(reported.c.station_id == station_id, reported.c.kind == "local_list")
    ).scalar()
    return max(ours or 0, int(said or 0), 0) + 1


@singledispatch
def _keep(change: Any, connection: sa.Connection, station_id: int, now: datetime) -> None:
    raise TypeError(f"nothing is known of {type(change).__name__}")


@_keep.register
def _(change: ReservationMade, connection: sa.Connection, station_id: int, now: datetime) -> None:
    same = sa.and_(
        reservations.c.station_id == station_id, reservations.c.reservation_id == change.reservation_id
    )  # fmt: skip
    fields = msgspec.structs.asdict(change) | {"changed_at": now, "session_id": None}
    if not connection.execute(sa.update(reservations).where(same).values(fields)).rowcount:
        connection.execute(sa.insert(reservations).values(station_id=station_id, created_at=now, **fields))


@_keep.register
def _(change: ReservationMoved, connection: sa.Connection, station_id: int, now: datetime) -> None:
    same = sa.and_(
        reservations.c.station_id == station_id, reservations.c.reservation_id == change.reservation_id
    )  # fmt: skip
    fields = {"status": change.status, "session_id": change.session_id, "changed_at": now}
    connection.execute(sa.update(reservations).where(same).values(fields))


@_keep.register
def _(change: ProfileInstalled, connection: sa.Connection, station_id: int, now: datetime) -> None:
    table = charging_profiles.c
    replaced = sa.or_(
        table.profile_id == change.profile_id,
        sa.and_(
            table.purpose == change.purpose, table.stack_level == change.stack_level, table.evse_id == change.evse_id
        ),
    )
    connection.execute(sa.delete(charging_profiles).where(table.station_id == station_id, replaced))
    fields = msgspec.structs.asdict(change) | {"profile": _text(change.profile).decode(), "installed_at": now}
    connection.execute(sa.insert(charging_profiles).values(station_id=station_id, **fields))


@_keep.register
def _(change: ProfilesCleared, connection: sa.Connection, station_id: int, now: datetime) -> None:
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    matching = [charging_profiles.c[name] == value for name, value in given.items()]
    connection.execute(sa.delete(charging_profiles).where(charging_profiles.c.station_id == station_id, *matching))


@_keep.register
def _(change: ListInstalled, connection: sa.Connection, station_id: int, now: datetime) -> None:
    same = local_lists.c.station_id == station_id
    found = connection.execute(sa.select(local_lists.c.entries).where(same)).scalar()
    entries = {} if change.full or found is None else msgspec.json.decode(found)
    for token, entry in change.entries.items():
        if entry is None:
            entries.pop(token, None)
        else:
            entries[token] = entry
    fields = {"version": change.version, "entries": _text(entries).decode(), "sent_at": now}
    if found is None:
        connection.execute(sa.insert(local_lists).values(station_id=station_id, **fields))
    else:
        connection.execute(sa.update(local_lists).where(same).values(fields))


@_keep.register
def _(change: PasswordSettled, connection: sa.Connection, station_id: int, now: datetime) -> None:
    pending = sa.and_(stations.c.id == station_id, stations.c.password_next.is_not(None))
    fields: dict[str, Any] = {"password_next": None}
    if change.taken:
        fields["password_hash"] = stations.c.password_next
    connection.execute(sa.update(stations).where(pending).values(fields))


@_keep.register
def _(change: CertificateSettled, connection: sa.Connection, station_id: int, now: datetime) -> None:
    table = certificates.c
    same = sa.and_(table.station_id == station_id, table.serial == change.serial, table.status != "revoked")
    fields = {"status": "installed" if change.taken else "refused", "settled_at": now}
    connection.execute(sa.update(certificates).where(same).values(fields))


@_keep.register
def _(change: Reported, connection: sa.Connection, station_id: int, now: datetime) -> None:
    table = reported.c
    same = sa.and_(table.station_id == station_id, table.kind == change.kind, table.key == change.key)
    fields = {"data": change.data.decode(), "reported_at": now}
    if not connection.execute(sa.update(reported).where(same).values(fields)).rowcount:
        row = {"station_id": station_id, "kind": change.kind, "key": change.key}
        connection.execute(sa.insert(reported).values(row | fields))


@_keep.register
def _(change: ReportExpected, connection: sa.Connection, station_id: int, now: datetime) -> None:
    """Its parts may have come before the answer was settled: what they made of it stays."""
    table, key = reported.c, report_key(change.name, change.request_id)
    same = sa.and_(table.station_id == station_id, table.kind == REPORT, table.key == key)
    if connection.execute(sa.select(table.key).where(same)).first() is None:
        row = {"station_id": station_id, "kind": REPORT, "key": key, "data": _text(Report(now)).decode()}
        connection.execute(sa.insert(reported).values(row | {"reported_at": now}))


@_keep.register
def _(change: Forgotten, connection: sa.Connection, station_id: int, now: datetime) -> None:
    table = reported.c
    named = [table.station_id == station_id, table.kind == change.kind]
    if change.prefix:
        named.append(table.key.startswith(change.prefix, autoescape=True))
    if change.suffix:
        named.append(table.key.endswith(change.suffix, autoescape=True))
    connection.execute(sa.delete(reported).where(*named))
