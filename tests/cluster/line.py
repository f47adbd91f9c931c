"""A line to a station that a second peer plays: both ends of a conversation, joined by their bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import msgspec

from csms.ocpp import frames
from csms.ocpp.catalogue import Version
from csms.ocpp.frames import Call
from csms.ocpp.peer import Peer, Pending

Reply = Callable[[Call], Any]


class JoinedLine:
    """What the desk calls a line. The station's end answers by `reply`, or when the test says so."""

    def __init__(self, version: Version = Version.V201, reply: Reply | None = None):
        self.asked: list[Call] = []
        self._began = self.now = monotonic()
        self.registration: str | None = "accepted"
        self.allowed: frozenset[str] = frozenset()
        self._ours = Peer(version)
        self._station = Peer(version)
        self._reply = reply
        self._news = asyncio.Event()

    @property
    def version(self) -> Version:
        return self._ours.version

    def allow(self, messages: frozenset[str]) -> None:
        self.allowed |= messages

    def call(self, pending: Pending) -> None:
        self._carry(self._ours.call(pending, self.now))

    async def next_call(self, count: int = 1) -> Call:
        """The call that the station has received as number `count`."""
        async with asyncio.timeout(5):
            while len(self.asked) < count:
                self._news.clear()
                await self._news.wait()
        return self.asked[count - 1]

    def answer(self, call: Call, payload: Any) -> None:
        self.hear(frames.call_result(call.id, msgspec.json.encode(payload)))

    def hear(self, data: bytes) -> object:
        """The station says this; what our end makes of it."""
        heard = self._ours.receive(data, self.now)
        self._carry(heard if isinstance(heard, bytes) else None)
        return heard

    @property
    def queued(self) -> int:
        """How many calls wait for their turn."""
        return len(self._ours._queue or ())

    def occupy(self) -> None:
        """Somebody else's call takes a place."""
        self.call(Pending("other", "ClearCache", b"{}", 30.0, lambda outcome: None))

    def until(self, now: float) -> None:
        """Let time pass: to so many seconds after the beginning."""
        self.now = self._began + now
        self._carry(self._ours.tick(self.now)[1])

    def lose(self) -> None:
        """The connection is gone."""
        self._ours.close()

    def _carry(self, data: bytes | None) -> None:
        if data is None:
            return
        call = self._station.receive(data, self.now)
        assert isinstance(call, Call)
        self.asked.append(call)
        self._news.set()
        if self._reply is not None:
            self.answer(call, self._reply(call))
