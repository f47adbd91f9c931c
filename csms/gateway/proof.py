"""Who a station is, proven before its handshake is answered: by its certificate, or by its password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from websockets.http11 import Request

from csms.domain.credentials import Vault
from csms.gateway.admission import Address, Refused, check_certificate, password_of, spellings, unauthorized
from csms.gateway.link import Link
from csms.storage.records import Known, Records

_SHAPELESS = b"\0" * 32  # Compared with where there is no station, so that this takes as long as where there is one.


class Rules(Protocol):
    """What is asked of newcomers, as it is now."""

    records: Records
    vault: Vault
    register: Callable[[Address], Awaitable[None]] | None  # Set: unknown stations are taken in.
    organization: str | None  # What certificates have to name; None: anything.
    revoked: Callable[[str], bool]  # Whether the certificate of a serial number holds no longer.
    hide_unknown: bool  # An unknown station is answered as one whose password is wrong.


class Proof:
    def __init__(self, rules: Rules):
        self._rules = rules

    async def of(self, address: Address, request: Request, link: Link) -> tuple[Known, dict[str, Any]]:
        """The station the request speaks for, and what that proves: columns to keep before it counts.

        A higher security profile than before, or which of two passwords holds. Refused where nothing is proven.
        """
        password = password_of(request.headers, address.identity)
        known = await self._known(address)
        if known is None:
            self._rules.vault.station_matches(_SHAPELESS, address.operator, address.identity, password or b"")
            raise unauthorized("unknown station") if self._rules.hide_unknown else Refused(404, "Unknown station.")
        lowest = known.security_profile or 1
        if link.profile < lowest:  # Once risen it stays risen (A00.FR.005).
            raise Refused(403, f"This station uses security profile {lowest}: connect to its port.")
        proven = {"security_profile": link.profile} if link.profile > lowest else {}
        if link.profile == 3:
            check_certificate(link.certificate, known, self._rules.organization)
            if link.certificate.serial is not None and self._rules.revoked(link.certificate.serial):
                raise Refused(403, "The certificate was revoked.")
            return known, proven
        if known.password_hash is None:
            return known, {}
        if password is None:
            raise unauthorized("no credentials")
        used = self._password_used(known, password)
        if used is None:
            raise unauthorized("wrong password")
        if known.password_next is not None:  # A change whose answer was lost: the one that is used holds.
            proven |= {"password_hash": used, "password_next": None}
        return known, proven

    async def _known(self, address: Address) -> Known | None:
        known = await self._rules.records.known(address.operator, address.identity)
        if known is None and self._rules.register is not None:
            await self._rules.register(address)
            known = await self._rules.records.known(address.operator, address.identity)
        return known

    def _password_used(self, known: Known, password: bytes) -> bytes | None:
        """The kept hash that the password has; None: neither of them."""
        for kept in (known.password_hash, known.password_next):
            for spelled in spellings(password) if kept is not None else ():
                if self._rules.vault.station_matches(kept, known.operator, known.identity, spelled):
                    return kept
        return None
