"""The listener stops accepting before descriptors run out, and goes on when there is room."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from csms.gateway.listener import Listener


async def listening(most: int) -> Listener:
    listener = Listener(asyncio.Protocol, most=most)
    listener.port = await listener.start("127.0.0.1", 0, backlog=10, reuse_port=False)
    return listener


async def test_sockets_are_counted_and_the_last_one_pauses_it():
    listener = await listening(2)
    with capture_logs() as logs:
        assert listener.entered() and not listener.paused
        assert listener.entered() and listener.paused, "the last that fits is taken, and no more are accepted"
        assert not listener.entered(), "one that was under way already finds no room"
    assert [line["event"] for line in logs] == ["gateway.full"]
    listener.close()


async def test_it_listens_again_once_there_is_room():
    listener = await listening(2)
    listener.entered()
    listener.entered()
    await listener.look()
    assert listener.paused, "still full"
    listener.left()
    await listener.look()
    assert not listener.paused
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.close()
    await writer.wait_closed()
    listener.close()
