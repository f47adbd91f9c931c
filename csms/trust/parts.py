"""Puts together whoever is asked about certificates, from plain values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from csms.blocks.ports import Outside
from csms.cluster.followups import FollowUps
from csms.outbound import Outbound
from csms.storage.database import Database
from csms.trust.authority import read_certificates
from csms.trust.issuing import LocalIssuer, Renewals
from csms.trust.ocsp import Ocsp
from csms.trust.provider import HttpProvider

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


@dataclass(frozen=True)
class Choices:
    """What the operator chose: times in s where they are numbers."""

    folder: Path | None = None  # Of the authority; None: nobody signs here.
    organization: str | None = None
    life: timedelta = timedelta(days=365)
    renew: timedelta = timedelta(days=30)
    contract_roots: tuple[Path, ...] = ()
    provider_url: str | None = None
    provider_timeout: float = 15.0
    ocsp_timeout: float = 5.0


def certificates(
    database: Database, clock: Callable[[], datetime], outbound: Outbound, choices: Choices
) -> Certificates:  # fmt: skip
    """AuthorityFolderError when a file cannot be used."""
    outside = Outside(
        organization=choices.organization,
        responders=Ocsp(outbound, choices.ocsp_timeout, clock),
        provider=HttpProvider(choices.provider_url, choices.provider_timeout) if choices.provider_url else None,
        contract_roots=tuple(each for path in choices.contract_roots for each in read_certificates(path)),
    )
    if choices.folder is None:
        return Certificates(outside)
    issuer = LocalIssuer(choices.folder, database, clock, choices.life, choices.renew)
    outside = replace(outside, authority=issuer, organization=choices.organization or issuer.organization)

    def renewals(followups: FollowUps, here: Here) -> Renewals:
        return Renewals(issuer, followups, here, clock, choices.renew)

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
