"""Issues station certificates under the authorities of a folder, keeps account of them, and sees to their renewal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import sqlalchemy as sa
import structlog

from csms.blocks.asking import Question
from csms.blocks.certificates import question
from csms.blocks.ports import AuthorityError
from csms.cluster.desk import Target
from csms.cluster.followups import FollowUps
from csms.domain.certificates import BadRequest, Kind, Order, read_chain, read_request, serial_text
from csms.ocpp.catalogue import Version
from csms.storage import certificates as kept
from csms.storage.database import Database
from csms.trust.authority import Authority, Revoked, Role

log = structlog.get_logger()

Clock = Callable[[], datetime]

ROLES: dict[Kind, Role] = {"station": "stations", "v2g": "v2g"}
_ROUND = 300.0  # s between looks at what was revoked elsewhere, and at what expires.
_LIST_AGE = timedelta(days=1)  # After which a revocation list is written anew though nothing changed.
_ASK_AGAIN = timedelta(hours=6)  # Between two requests to renew the same certificate.
_RECENT = timedelta(days=1)  # Older requests are not taken up again: their stations have asked anew since.
_UNDER_WAY = timedelta(minutes=3)  # That a request is left alone: its certificate is on its way.
_URGENT = timedelta(days=7)


class LocalIssuer:
    """The authority of this system (`blocks.ports.Authority`)."""

    def __init__(self, folder: Path, database: Database, clock: Clock, life: timedelta, renew: timedelta):
        """`life`: of a certificate. `renew`: how long before its end it is renewed."""
        self._authorities = {role: Authority(folder, role) for role in ROLES.values()}
        self._database = database
        self._clock = clock
        self._life = life
        self._renew = renew
        self._revoked: dict[Kind, frozenset[str]] = dict.fromkeys(ROLES, frozenset())
        self._written: dict[Kind, datetime] = {}

    @property
    def organization(self) -> str | None:
        return self._authorities["stations"].organization

    async def issue(self, order: Order) -> str:
        authority = self._authorities[ROLES[order.kind]]
        now = self._clock()
        try:
            csr, digest = read_request(order.csr), order.digest
        except BadRequest as error:
            raise AuthorityError(str(error)) from None

        def sign() -> kept.Issued:
            chain = authority.station(csr, now, self._life)
            certificate = read_chain(chain)[0]
            return kept.Issued(serial_text(certificate.serial_number), chain, certificate.not_valid_after_utc)

        chain = await self._database.writer.run(kept.issue_once(order, digest, sign, now + self._renew, now))
        log.info("certificate.issued", operator=order.operator, station=order.identity, kind=order.kind,
                 serial=serial_text(read_chain(chain)[0].serial_number))  # fmt: skip
        return chain

    def is_revoked(self, serial: str) -> bool:
        """Whether the station certificate of this serial number (hexadecimal) holds no longer."""
        return serial in self._revoked["station"]

    async def write_revoked(self) -> None:
        """Bring the revocation lists up to date, other nodes' doing included; the ports take a changed file at once."""
        now = self._clock()
        for kind, role in ROLES.items():
            rows = await self.read(kept.revoked(kind, now))
            serials = frozenset(serial for serial, _ in rows)
            written = self._written.get(kind)
            if written is None or serials != self._revoked[kind] or now - written > _LIST_AGE:
                self._authorities[role].write_revoked([Revoked(int(serial, 16), at) for serial, at in rows], now)
                self._revoked[kind], self._written[kind] = serials, now

    async def read(self, job: Callable[[sa.Connection], list]) -> list:
        async with self._database.reader.connect() as connection:
            return await connection.run_sync(job)


@dataclass
class Renewals:
    """One task: round by round it brings what did not arrive, and lets stations renew in time.

    Each process looks after the stations that are connected to it.
    """

    issuer: LocalIssuer
    followups: FollowUps
    here: Callable[[int], bool]  # Whether a station is connected to this process.
    clock: Clock
    renew: timedelta
    every: float = _ROUND
    _renewed_at: datetime | None = None  # When stations were last asked to renew.

    async def run(self) -> None:
        while True:
            try:
                await self.issuer.write_revoked()
                await self._bring_unsettled()
                await self._renew_expiring()
            except Exception:
                log.exception("certificates.round_failed")
            await asyncio.sleep(self.every)

    async def _bring_unsettled(self) -> None:
        now = self.clock()
        for place in await self.issuer.read(kept.unsettled(now - _RECENT, now - _UNDER_WAY)):
            if not self.here(place.station_id):
                continue
            order = Order(place.station_id, place.operator, place.identity, place.kind, place.data["csr"])
            self.followups.ask(_target(place), partial(_brought, self.issuer, _version(place), order))

    async def _renew_expiring(self) -> None:
        now = self.clock()
        if self._renewed_at is not None and now - self._renewed_at < _ASK_AGAIN:
            return
        self._renewed_at = now
        for place in await self.issuer.read(kept.expiring(now, now + self.renew)):
            if place.data - now < _URGENT:
                log.warning(
                    "certificate.expires", operator=place.operator, station=place.identity, kind=place.kind,
                    expires_at=place.data.isoformat(), remedy="connect the station: it is asked to renew it then",
                )  # fmt: skip
            if self.here(place.station_id):
                self.followups.ask(_target(place), partial(_renewed, place))


async def _brought(issuer: LocalIssuer, version: Version, order: Order) -> Question | None:
    try:
        return question(version, order.kind, await issuer.issue(order))
    except AuthorityError as error:
        log.error("certificate.not_issued", operator=order.operator, station=order.identity, error=str(error))
        return None


async def _renewed(place: kept.Place) -> Question:
    return renewal(_version(place), place.kind)


def renewal(version: Version, kind: Kind) -> Question:
    """The question that lets a station ask for a new certificate (A02, A03)."""
    if version is Version.V16:
        return Question("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
    wanted = "SignV2GCertificate" if kind == "v2g" else "SignChargingStationCertificate"
    return Question("TriggerMessage", {"requestedMessage": wanted})


def _target(place: kept.Place) -> Target:
    return Target(place.station_id, place.operator_id, place.operator, place.identity, _version(place))


def _version(place: kept.Place) -> Version:
    return Version(place.version) if place.version else Version.V201
