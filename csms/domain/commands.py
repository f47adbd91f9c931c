"""What an operator asks of a station, and how it ended: exactly one final state for each command."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

# pending: not settled yet · answered: the station replied (its «no» is an answer too) · error: it replied CALLERROR ·
# offline: it was not connected, nothing was sent · timeout, unknown: sent, and no answer came: it may have taken effect.
CommandStatus = Literal["pending", "answered", "error", "offline", "timeout", "unknown"]


# The words that stations agree with; an answer without such a word is what was asked for.
AGREED = frozenset({
    "Accepted", "AcceptedCanceled", "RebootRequired", "Scheduled", "Unlocked", "Unpublished", "DownloadOngoing",
})  # fmt: skip


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command: `request` and `response` are OCPP payloads in the spelling of the station's version."""

    id: int
    operator: str
    station: str
    action: str
    request: Any  # Passwords are masked.
    status: CommandStatus = "pending"
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None  # code, description, details
    created_at: datetime
    sent_at: datetime | None = None
    settled_at: datetime | None = None

    @property
    def accepted(self) -> bool | None:
        """Whether the station agreed; None while it has not answered."""
        if self.status != "answered" or self.response is None:
            return None
        return self.response.get("status", "Accepted") in AGREED
