"""What a station's answer to a question of ours changes: kept in the same commit as the answer itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from csms.domain.unit import Reported, ReservationMoved


class ReservationMade(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation was asked for. `status`: accepted, or the word the station refused it with; unknown without answer."""

    reservation_id: int
    status: str
    token: str
    expires_at: datetime
    evse_id: int | None = None
    connector_id: int | None = None
    connector_type: str | None = None
    group: str | None = None


class ProfileInstalled(msgspec.Struct, frozen=True, kw_only=True):
    """A charging profile holds at the station; one with the same id, or the same purpose, level and EVSE, no longer."""

    profile_id: int
    evse_id: int
    purpose: str
    stack_level: int
    profile: dict[str, Any]  # As sent.


class ProfilesCleared(msgspec.Struct, frozen=True, kw_only=True):
    """The profiles that match all that is given hold no longer."""

    profile_id: int | None = None
    evse_id: int | None = None
    purpose: str | None = None
    stack_level: int | None = None


class ListInstalled(msgspec.Struct, frozen=True, kw_only=True):
    """The station's local list: replaced, or changed entry by entry (None: the entry goes)."""

    version: int
    full: bool
    entries: dict[str, dict[str, Any] | None]


class ReportExpected(msgspec.Struct, frozen=True):
    """The station said that it will send this report; parts of it may be here already."""

    name: str
    request_id: int


class Forgotten(msgspec.Struct, frozen=True):
    """What the station said of this kind, under keys that begin and end so, holds no longer as far as is known."""

    kind: str
    prefix: str = ""
    suffix: str = ""


class PasswordSettled(msgspec.Struct, frozen=True):
    """The station took its new password, or it did not: then the old one holds."""

    taken: bool


class CertificateSettled(msgspec.Struct, frozen=True):
    """The station took the certificate that we issued, or it did not: then the one before holds (A02.FR.08)."""

    serial: str
    taken: bool


Change = (
    CertificateSettled | PasswordSettled | ReservationMade | ReservationMoved | ProfileInstalled | ProfilesCleared | ListInstalled | Reported
    | ReportExpected | Forgotten
)  # fmt: skip


def reservation_state(status: str, expires_at: datetime, now: datetime) -> str:
    """What a reservation is by now: one that nobody used or cancelled is over when it expires."""
    return "expired" if status == "accepted" and expires_at <= now else status
