"""What was said between a station and the system, as people look at it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

Direction = Literal["from_station", "to_station"]
# answered · refused: answered with a CALLERROR · unanswered: the conversation ended first, or nothing may be answered ·
# timeout: no answer in time · malformed, ignored: no call, and not taken for one.
ExchangeOutcome = Literal["answered", "refused", "unanswered", "timeout", "malformed", "ignored"]


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A call and what became of it. `number` rises with time and is the place in a listing."""

    number: int
    at: datetime
    direction: Direction
    action: str | None
    message_id: str | None
    outcome: ExchangeOutcome
    frame: Any  # As sent, read as JSON; text where it is none.
    answered_at: datetime | None = None
    answer: Any = None
    reason: str | None = None


class TooManyTraces(Exception):
    """As many stations are traced as may be. The message says what to do."""
