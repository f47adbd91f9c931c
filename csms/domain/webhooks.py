"""Receivers of events over HTTP: which events they want, and how their latest deliveries went."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from csms.domain.events import EventFilter

OPENS_AFTER = 5  # Failures in a row, after which a receiver is left alone for long pauses.

# closed: events flow · open: it is left alone until the next attempt · half_open: the next attempt is due.
Circuit = Literal["closed", "open", "half_open"]


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """`operator`: None for the events of all; `revision` rises with each change by an operator."""

    id: int
    operator: str | None
    url: str
    description: str | None
    types: tuple[str, ...]  # As chosen: `session.*` too.
    wanted: EventFilter
    salt: bytes  # Of its secret.
    enabled: bool
    revision: int
    created_at: datetime
    failures: int = 0  # In a row.
    error: str | None = None  # Why the latest attempt failed.
    attempted_at: datetime | None = None
    delivered_at: datetime | None = None
    next_attempt_at: datetime | None = None

    @property
    def subscriber(self) -> str:
        """Its name among those who follow the outbox."""
        return subscriber(self.id)

    def circuit(self, now: datetime) -> Circuit:
        if self.failures < OPENS_AFTER:
            return "closed"
        return "open" if self.next_attempt_at is not None and now < self.next_attempt_at else "half_open"


def subscriber(id: int) -> str:
    return f"webhook:{id}"
