"""Follows the outbox: every committed event in its order, at least once, with the id it keeps for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import msgspec

from csms.storage.outbox import Entry, Outbox

_json = msgspec.json.Encoder().encode


async def follow(
    outbox: Outbox, after: int, *, most: int = 1000, linger: float = 0.05, poll: float = 5.0
) -> AsyncIterator[list[Entry]]:
    """Pages of what was committed behind the position `after`, for ever; looks every `poll` s at least.

    The first event after a silence goes out at once. While the stream flows, `linger` s gather before the
    next page, since one with a single entry costs nearly as much as one with a hundred.
    """
    while True:
        news = outbox.news
        page = await outbox.page(after, most)
        if page:
            after = page[-1].id
            yield page
            if len(page) < most:
                await asyncio.sleep(linger)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(poll):
                    await news.wait()


def enveloped(entry: Entry) -> Iterator[bytes]:
    """Each event of the entry as JSON, with its id, operator and station in front of its own fields (which begin with type)."""
    operator, station = _json(entry.operator), _json(entry.station)
    for place, event in enumerate(entry.events):
        yield b'{"event_id":"%d-%d","operator":%s,"station":%s,%s' % (
            entry.id, place, operator, station, memoryview(event)[1:],
        )  # fmt: skip


def type_of(event: msgspec.Raw) -> str:
    """What an event of an entry is; its type is the first of its fields."""
    text = bytes(event)
    return text[len(_TYPE) : text.index(b'"', len(_TYPE))].decode()


_TYPE = b'{"type":"'
