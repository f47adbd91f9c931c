"""Who may charge: a token and what is decided about it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

import msgspec

TokenStatus = Literal["accepted", "blocked", "expired", "invalid"]
Verdict = Literal["accepted", "blocked", "expired", "invalid", "unknown", "concurrent"]

# Types that a station vouches for itself: nothing is looked up (C02.FR.02, T28).
NO_AUTHORIZATION = "NoAuthorization"


class Token(msgspec.Struct, frozen=True):
    """What a driver identifies with. `value` is kept as given and compared without case (T30)."""

    value: str
    type: str | None = None
    status: TokenStatus = "accepted"
    group: str | None = None
    expires_at: datetime | None = None


class Decision(msgspec.Struct, frozen=True):
    """The answer to «may this token charge?»."""

    verdict: Verdict
    group: str | None = None
    expires_at: datetime | None = None

    @property
    def accepted(self) -> bool:
        return self.verdict == "accepted"


UNKNOWN = Decision("unknown")
FREE = Decision("accepted")


# A contract id is the same with its hyphens and without (ISO 15118, T29): country, provider, instance, check digit.
_EMAID = re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?[A-Z0-9]{9}(-?[A-Z0-9])?", re.ASCII | re.IGNORECASE)


def folded(value: str) -> str:
    """The form in which values are compared: tokens are case-insensitive (2.0.1 Part 2, identifierString)."""
    value = value.strip()
    if "-" in value and _EMAID.fullmatch(value):
        value = value.replace("-", "")
    return value.casefold()


def decide(token: Token | None, now: datetime) -> Decision:
    """Judge a token that was looked up; None is one nobody knows."""
    if token is None:
        return UNKNOWN
    verdict: Verdict = token.status
    if verdict == "accepted" and token.expires_at is not None and token.expires_at <= now:
        verdict = "expired"
    return Decision(verdict, token.group, token.expires_at)
