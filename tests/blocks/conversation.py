"""A station in conversation with the blocks, over records in memory: each answer is given after its commit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec

import csms.blocks  # noqa: F401  Registers the handlers.
from csms.blocks.dispatch import Context, Policy, answer
from csms.domain.events import AnyEvent
from csms.domain.sessions import Session
from csms.domain.stations import Station
from csms.domain.tokens import Token
from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.frames import Call
from csms.storage.memory import MemoryRecords

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def stamp(minutes: float) -> str:
    """A station's time, some minutes after noon."""
    return after(minutes).isoformat().replace("+00:00", "Z")


class Conversation:
    """`await say(action, payload)` gives the payload of the answer; what we answer is judged by the official schema."""

    def __init__(self, version: Version, records: MemoryRecords | None = None, identity: str = "CS-1"):
        self.version = version
        self.records = records or MemoryRecords()
        self.now = NOON
        self.policy = Policy(random=Random(1).random)
        self._known = self.records.add_station(identity, registration="accepted")
        self.station = Station(self._known.id, 1, "default", identity)
        self.station.registration = "accepted"

    async def say(self, action: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        self.context = ctx = Context(self.station, self.version, self.now, self.records, self.policy)
        raw = msgspec.Raw(json.dumps(payload or {}).encode())
        frame = json.loads(await answer(Call("1", action, raw), ctx))
        assert frame[:2] == [3, "1"]
        assert schemas.violation(actions(self.version)[action], frame[2], response=True) is None
        if ctx.work is not None:
            await self.records.commit(ctx.work)
            ctx.work.apply()
        return frame[2]

    async def restart(self) -> None:
        """The central system starts again: the station's hot state is what was kept."""
        self.station = await self.records.station(self.records.known_stations["default", self.station.identity])

    def token(self, value: str, **fields: Any) -> None:
        self.records.add_token(1, Token(value, **fields))

    @property
    def sessions(self) -> list[Session]:
        return [session for owner, session in self.records.sessions.values() if owner == self.station.id]

    @property
    def session(self) -> Session:
        (only,) = self.sessions
        return only

    def events(self, kind: type) -> list[AnyEvent]:
        return [event for event in self.records.events if type(event) is kind]
