"""What is asked of many stations at once, and at which pace."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An OCPP action with its payload, or a verb with its words.

    `concurrency`: how many are under way at once; `rate`: how many are begun a second; `until`: when stations that are not
    connected are waited for no longer.
    """

    action: str | None = None
    verb: str | None = None
    payload: dict[str, Any]
    concurrency: int
    rate: float
    until: datetime
