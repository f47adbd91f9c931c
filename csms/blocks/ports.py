"""What the blocks need from outside in OCPP's own words: a way to ask a station something."""

from __future__ import annotations

from typing import Protocol

from csms.ocpp.catalogue import Version
from csms.ocpp.peer import Pending


class Line(Protocol):
    """The conversation with one connected station."""

    @property
    def version(self) -> Version: ...

    def call(self, pending: Pending) -> None:
        """Send the call, or queue it behind the one that waits; raises `QueueFull`."""
