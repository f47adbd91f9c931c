"""The certificates that were issued to stations: what became of each, and which hold no longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from csms.domain.certificates import Kind, Order
from csms.storage.tables import certificates, operators, reported, stations

MOST_AT_ONCE = 1000  # Rows that one look takes.


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate just made. `chain` in PEM, `serial` in hexadecimal."""

    serial: str
    chain: str
    expires_at: datetime


def issue_once(
    order: Order, digest: bytes, sign: Callable[[], Issued], renewed_before: datetime, now: datetime
) -> Callable[[sa.Connection], str]:
    """The chain for an order: the one it had before, while that holds beyond `renewed_before`; else a new one."""
    same = sa.and_(
        certificates.c.station_id == order.station_id, certificates.c.kind == order.kind,
        certificates.c.csr_digest == digest, certificates.c.status != "revoked",
        certificates.c.expires_at > renewed_before,
    )  # fmt: skip

    def job(connection: sa.Connection) -> str:
        found = connection.execute(sa.select(certificates.c.chain).where(same).order_by(certificates.c.id.desc()))
        chain = found.scalars().first()
        if chain is not None:
            return chain
        issued = sign()
        connection.execute(
            sa.insert(certificates).values(
                station_id=order.station_id, kind=order.kind, serial=issued.serial, csr_digest=digest,
                chain=issued.chain, status="issued", issued_at=now, expires_at=issued.expires_at,
            )
        )  # fmt: skip
        return issued.chain

    return job


def revoke(
    operator_id: int | None, serial: str, now: datetime
) -> Callable[[sa.Connection], int | None]:  # fmt: skip
    """The station whose certificate holds no longer from now on; None where the operator has no such one."""

    def job(connection: sa.Connection) -> int | None:
        query = sa.select(certificates.c.id, certificates.c.station_id).join_from(certificates, stations)
        query = query.where(certificates.c.serial == serial.lower())
        if operator_id is not None:
            query = query.where(stations.c.operator_id == operator_id)
        found = connection.execute(query).one_or_none()
        if found is None:
            return None
        change = sa.update(certificates).where(certificates.c.id == found.id, certificates.c.status != "revoked")
        connection.execute(change.values(status="revoked", settled_at=now))
        return found.station_id

    return job


def revoked(kind: Kind, now: datetime) -> Callable[[sa.Connection], list[tuple[str, datetime]]]:
    """(serial, since when) of all that are revoked and would hold otherwise."""
    query = sa.select(certificates.c.serial, certificates.c.settled_at).where(
        certificates.c.kind == kind, certificates.c.status == "revoked", certificates.c.expires_at > now
    )
    return lambda connection: [tuple(row) for row in connection.execute(query)]


class Place(NamedTuple):
    """A station and the kind of certificate in question; `data`: more, by query."""

    station_id: int
    operator_id: int
    operator: str
    identity: str
    version: str | None
    kind: Kind
    data: Any


_PLACED = (
    stations.c.id, stations.c.operator_id, operators.c.name.label("operator"), stations.c.identity, stations.c.version,
)  # fmt: skip


def unsettled(since: datetime, until: datetime) -> Callable[[sa.Connection], list[Place]]:
    """Requests whose certificate did not reach its station, as far as anybody knows; `data`: {"csr": …}."""
    query = (
        sa.select(*_PLACED, reported.c.key, reported.c.data)
        .join_from(reported, stations, reported.c.station_id == stations.c.id)
        .join(operators, stations.c.operator_id == operators.c.id)
        .where(
            reported.c.kind == "certificate_request",
            reported.c.data != "null",
            reported.c.reported_at.between(since, until),
        )
        .limit(MOST_AT_ONCE)
    )
    return lambda connection: [
        Place(*row[:-1], msgspec.json.decode(row[-1])) for row in connection.execute(query).all()
    ]


def expiring(now: datetime, before: datetime) -> Callable[[sa.Connection], list[Place]]:
    """Certificates in use that end soon and were not renewed; `data`: when each ends. The most urgent first."""
    newer = certificates.alias("newer")
    renewed = sa.exists().where(
        newer.c.station_id == certificates.c.station_id, newer.c.kind == certificates.c.kind,
        newer.c.status.in_(("issued", "installed")), newer.c.expires_at > before,
    )  # fmt: skip
    query = (
        sa.select(*_PLACED, certificates.c.kind, certificates.c.expires_at)
        .join_from(certificates, stations, certificates.c.station_id == stations.c.id)
        .join(operators, stations.c.operator_id == operators.c.id)
        .where(certificates.c.status == "installed", certificates.c.expires_at.between(now, before), ~renewed)
        .order_by(certificates.c.expires_at)
        .limit(MOST_AT_ONCE)
    )
    return lambda connection: [Place(*row) for row in connection.execute(query).all()]
