"""Puts together whoever is asked about certificates, from plain values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from csms.blocks.ports import Outside
from csms.cluster.followups import FollowUps
from csms.storage.database import Database
from csms.trust.issuing import LocalIssuer, Renewals

Here = Callable[[int], bool]  # Whether a station is connected to this process.

SERVER_FILES = ("server-rsa.pem", "server-ecdsa.pem")


@dataclass
class Certificates:
    """The parts as the composition root uses them; `issuer` None: nobody signs here."""

    outside: Outside
    issuer: LocalIssuer | None = None
    renewals: Callable[[FollowUps, Here], Renewals] | None = None

    async def start(self) -> None:
        """The revocation list has to be there before the first station shows a certificate."""
        if self.issuer is not None:
            await self.issuer.write_revoked()

    def is_revoked(self, serial: str) -> bool:
        return self.issuer is not None and self.issuer.is_revoked(serial)

    def revoked(self, send_away: Callable[[int, str], None]) -> Callable[[int, str], Awaitable[None]]:
        """What is to be done when the certificate of (a station, a serial number) was revoked."""

        async def revoked(station_id: int, serial: str) -> None:
            await self.start()  # Writes the list anew: the ports take it within a second.
            send_away(station_id, serial)

        return revoked

    @asynccontextmanager
    async def renewing(self, followups: FollowUps, here: Here) -> AsyncIterator[None]:
        """Let certificates be brought and renewed in time, meanwhile."""
        if self.renewals is None:
            yield
            return
        task = asyncio.create_task(self.renewals(followups, here).run(), name="certificate-renewals")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


def certificates(
    database: Database, clock: Callable[[], datetime], *, folder: Path | None, organization: str | None,
    life: timedelta, renew: timedelta,
) -> Certificates:  # fmt: skip
    """AuthorityFolderError when the folder cannot be used."""
    if folder is None:
        return Certificates(Outside(organization=organization))
    issuer = LocalIssuer(folder, database, clock, life, renew)
    outside = Outside(issuer, organization or issuer.organization)

    def renewals(followups: FollowUps, here: Here) -> Renewals:
        return Renewals(issuer, followups, here, clock, renew)

    return Certificates(outside, issuer, renewals)


@dataclass(frozen=True)
class TlsFiles:
    """What the TLS ports are made of, where the settings leave it to the authority's folder."""

    certificates: tuple[Path, ...]
    client_ca: Path | None
    client_crl: Path | None


def tls_files(given: TlsFiles, folder: Path | None) -> TlsFiles:
    if folder is None:
        return given
    own = tuple(path for name in SERVER_FILES if (path := folder / name).exists())
    ca, crl = given.client_ca, given.client_crl
    if ca is None:
        ca, crl = folder / "stations.crt", crl or folder / "stations.crl"
    return TlsFiles(given.certificates or own, ca, crl)
