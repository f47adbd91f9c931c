"""What stations notify goes into their log once, however often it is sent (I6): a lost answer makes them send it again."""

from __future__ import annotations

from collections.abc import Collection

from csms.blocks.dispatch import Context
from csms.domain.events import AnyEvent
from csms.domain.unit import Noted


async def note(ctx: Context, entries: Collection[tuple[Noted, AnyEvent]]) -> None:
    """Keep these entries and tell of them, but for those of the same moment and content as one that is kept already.

    An entry whose time is ours, since the station's cannot be, is never taken for a repeat.
    """
    if not entries:
        return
    known = set(await ctx.records.noted(ctx.station.id, {noted.at for noted, _ in entries}))
    for noted, event in entries:
        if noted.data in known:
            continue
        known.add(noted.data)
        ctx.unit.noted.append(noted)
        ctx.unit.events.append(event)
