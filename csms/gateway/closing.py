"""An operator ends a session by hand: in its station's turn, as if the station had said something."""

from __future__ import annotations

import asyncio
from time import monotonic

from csms.blocks.metering import closed_event
from csms.domain.sessions import Session, closed_by_hand
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.gateway.server import Gateway

_PATIENCE = 5.0  # s


async def close_session(gateway: Gateway, stored: Station, session: Session) -> bool:
    """End `session`, kept with its event; False: its station has something under way for too long.

    `stored`: the station as the database has it; where it is connected its own state counts.
    """
    until = monotonic() + _PATIENCE
    while (station := gateway.stations.get(stored.id)) is not None and station.busy:
        if monotonic() > until:
            return False
        await asyncio.sleep(0.01)
    now = gateway.clock()
    if station is not None:
        running = (station.sessions or {}).get(session.id)
        if running is None:
            return True  # It has ended meanwhile.
        session = running
        station.busy = True
    unit = Unit(station or stored, now)
    unit.changed.append(closed_by_hand(session, now))
    unit.events.append(closed_event(unit.changed[0], now))

    def kept(commit: asyncio.Future[None]) -> None:
        if station is not None:
            station.busy = False
            if commit.exception() is None:
                unit.apply()
            gateway.turn_ended(station)

    commit = gateway.records.commit(unit)
    commit.add_done_callback(kept)
    await asyncio.shield(commit)  # Whoever asked may go away.
    return True
