"""Sessions that an operator ends by hand, and what their stations still say of them."""

from __future__ import annotations

import asyncio

import pytest

from csms.gateway import closing
from csms.gateway.closing import close_session
from csms.storage.queries import Queries
from tests.conftest import NOW

BEGIN = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-05-04T11:00:00Z"}
END = {"meterStop": 1100, "timestamp": "2026-05-04T11:30:00Z", "reason": "EVDisconnected"}
FACTS = "SELECT stop_reason, energy_wh, meter_stop_wh, flags FROM sessions"


async def begun(server):
    client = await server.connect()
    await client.boot()
    transaction = (await client.call("StartTransaction", BEGIN))["transactionId"]
    [hot] = server.gateway.stations.values()
    [running] = hot.sessions.values()
    return client, transaction, hot, running


async def closed_events(server) -> int:
    found = await server.rows("SELECT events FROM outbox")
    return sum(events.count('"session.closed"') for (events,) in found)


async def test_session_of_a_connected_station_is_ended_and_marked(server):
    _, _, hot, running = await begun(server)
    assert await close_session(server.gateway, hot, running)
    assert await server.rows(FACTS) == [(None, 0.0, 100.0, '["closed_by_hand"]')]
    assert hot.sessions is None and not hot.busy
    assert await closed_events(server) == 1
    assert await close_session(server.gateway, hot, running)  # Again: nothing changes.
    assert await closed_events(server) == 1


@pytest.mark.parametrize("reconnect", [False, True])
async def test_own_end_still_counts_when_it_comes_late(server, reconnect):
    client, transaction, hot, running = await begun(server)
    await close_session(server.gateway, hot, running)
    if reconnect:
        await client.socket.close()
        await server.until(lambda: not server.gateway.stations)
        client = await server.connect()
        await client.boot()
    for _ in range(2):  # Its repeat changes nothing.
        await client.call("StopTransaction", END | {"transactionId": transaction})
        assert await server.rows(FACTS) == [("EVDisconnected", 1000.0, 1100.0, "[]")]
    assert await closed_events(server) == 2  # Told again, since it has changed.


async def test_session_of_a_station_that_is_away_is_ended(server):
    client, transaction, hot, running = await begun(server)
    await client.socket.close()
    await server.until(lambda: not server.gateway.stations)
    found = await Queries(server.database.reader).whole_session(running.id)
    assert await close_session(server.gateway, hot, found)
    assert await server.rows(FACTS) == [(None, 0.0, 100.0, '["closed_by_hand"]')]
    client = await server.connect()
    await client.boot()
    await client.call("StopTransaction", END | {"transactionId": transaction})
    assert await server.rows(FACTS) == [("EVDisconnected", 1000.0, 1100.0, "[]")]


async def test_station_that_is_busy_for_too_long_is_not_disturbed(server, monkeypatch):
    _, _, hot, running = await begun(server)
    monkeypatch.setattr(closing, "_PATIENCE", 0.02)
    hot.busy = True
    assert not await asyncio.wait_for(close_session(server.gateway, hot, running), 5)
    hot.busy = False
    assert await close_session(server.gateway, hot, running)
    assert running.started_at < NOW
