"""What steers stations: the desk, and those who ask over it, ended in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from csms.blocks.ports import Line
from csms.cluster.desk import Desk
from csms.cluster.followups import FollowUps
from csms.cluster.neutral import Neutral
from csms.storage.commands import CommandLog
from csms.storage.facts import StationFacts
from csms.storage.queries import Queries


class Steering:
    """`timeout`: s that a station is given for an answer."""

    def __init__(
        self,
        line_of: Callable[[int], Line | None],
        commands: CommandLog,
        queries: Queries,
        next_id: Callable[[], int],
        clock: Callable[[], datetime],
        timeout: float,
        password_hash: Callable[[str, str, bytes], bytes],
    ):
        self.desk = Desk(line_of, commands, next_id, clock, timeout, password_hash)
        self.followups = FollowUps(self.desk)
        self.neutral = Neutral(self.desk, StationFacts(queries), clock)

    async def close(self) -> None:
        """Nothing more is asked; what was has its final state on record (the links are closed by now)."""
        await self.neutral.close()
        await self.followups.close()
        await self.desk.close()
