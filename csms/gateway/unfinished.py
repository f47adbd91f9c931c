"""Messages that have begun and not ended, and since when: told in fragments, or in drips of one frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from csms.gateway.link import Link


class Unfinished:
    """What was under way at the last look at each link."""

    def __init__(self) -> None:
        self._since: dict[Link, tuple[object, float]] = {}

    def overdue(self, links: Iterable[Link], now: float, most: float) -> Iterator[Link]:
        """Those of these links whose message has been under way for more than `most` s of our listening."""
        for link in [link for link in self._since if link.lost]:
            del self._since[link]
        for link in links:
            part = link.unfinished
            if part is None:
                self._since.pop(link, None)
                continue
            known, since = self._since.get(link, (None, now))
            if known is not part or not link.listening:
                since = now
            self._since[link] = part, since
            if now - since > most:
                yield link
