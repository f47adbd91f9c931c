"""What the blocks need from outside in OCPP's own words: a way to ask a station something."""

from __future__ import annotations

from typing import Protocol

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
