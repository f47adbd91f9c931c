"""What the blocks need from outside beyond records: a way to ask a station something, and who knows of certificates."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cryptography.x509 import Certificate

from csms.domain.certificates import Hashes, Order
from csms.domain.stations import Registration
from csms.ocpp.catalogue import Version
from csms.ocpp.peer import Pending


class Line(Protocol):
    """The conversation with one connected station."""

    @property
    def version(self) -> Version: ...

    @property
    def registration(self) -> Registration | None:
        """What its latest boot was answered; None: it never booted."""

    def allow(self, messages: frozenset[str]) -> None:
        """Let these messages in before the boot is accepted: we have asked for them (T43)."""

    def call(self, pending: Pending) -> None:
        """Send the call, or queue it behind the one that waits; raises `QueueFull`."""


class Authority(Protocol):
    """Signs the certificates of stations: here, or somewhere else."""

    def issue(self, order: Order) -> Awaitable[str]:
        """The chain in PEM, the station's own certificate first. The same order gives the same chain.

        Raises AuthorityError where that cannot be.
        """


class AuthorityError(Exception):
    """No certificate can be issued; the message says why, for the log."""


class Responders(Protocol):
    """Whoever says whether a certificate was revoked (OCSP)."""

    def status(self, certificate: Hashes, known: Sequence[Certificate] = ()) -> Awaitable[Revocation]:
        """What a responder says of the certificate, believed only where it is signed by the issuer or in its name.

        `known`: certificates among which the issuer's may be.
        """

    def response(self, certificate: Hashes) -> Awaitable[bytes | None]:
        """The responder's answer as it is (DER), for somebody who judges it himself; None: there was none."""


Revocation = Literal["good", "revoked", "unknown", "unavailable"]


class ContractProvider(Protocol):
    """Gives cars their contract certificates."""

    def ev_certificate(self, schema: str, action: str, exi_request: str) -> Awaitable[tuple[bool, str] | None]:
        """(whether it went well, its answer untouched); None: it cannot be reached."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Who is asked outside about certificates; None: nobody."""

    authority: Authority | None = None
    organization: str | None = None  # That stations' certificates have to name.
    responders: Responders | None = None
    provider: ContractProvider | None = None
    contract_roots: tuple[Certificate, ...] = ()  # Whom contracts have to come from, when we are shown their chain.
