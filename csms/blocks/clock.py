"""A station whose clock is wrong is told of, once a connection (T51, R8): its times are kept, and so are ours."""

from __future__ import annotations

from datetime import datetime, timedelta

from csms.blocks.dispatch import Context
from csms.domain.events import ClockDrifted
from csms.domain.stations import NO_CLOCK_BEFORE

_AHEAD = timedelta(seconds=60)
_BEHIND = timedelta(minutes=5)  # A message may have waited for a slow network so long.


def watch_clock(ctx: Context, claimed: datetime | None, *, live: bool = False) -> None:
    """Look at the time a message claims; `live`: it says itself that it did not wait in a station that was offline."""
    if claimed is None or ctx.station.clock_told:
        return
    ahead = claimed - ctx.now
    if ahead > _AHEAD or (live and -ahead > _BEHIND) or claimed.year < NO_CLOCK_BEFORE:
        ctx.unit.clock_told = True
        ctx.unit.events.append(ClockDrifted(at=ctx.now, claimed=claimed, ahead_s=round(ahead.total_seconds())))
