"""Sends stations away before the end, spread over a window, so that they do not all come to the other nodes at once (N14)."""

from __future__ import annotations

import asyncio
from time import monotonic

from csms.gateway.server import Gateway

_STEP = 0.05  # s


async def send_away(gateway: Gateway, window: float) -> None:
    """Take nobody in any longer; close the conversations one after the other over `window` s, each between two calls.

    Until its turn comes a station is served as ever.
    """
    gateway.listener.close()
    links = [station.link for station in gateway.stations.values() if station.link is not None]
    began, total = monotonic(), len(links)
    while links and (passed := monotonic() - began) < window:
        due = round(total * passed / window) - (total - len(links))
        for link in [link for link in links if not link.station.busy][: max(0, due)]:
            link.close(1012, "service restart")
            links.remove(link)
        await asyncio.sleep(_STEP)
