"""What steers stations: the desk, and those who ask over it, ended in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from csms.blocks.asking import wrong_with
from csms.blocks.ports import Line
from csms.blocks.verbs import Unsayable
from csms.cluster.bulk import Bulk
from csms.cluster.desk import Desk, Target
from csms.cluster.followups import FollowUps
from csms.cluster.neutral import VERBS, Neutral
from csms.domain.bulk import Asked
from csms.storage.bulk import BulkLog
from csms.storage.commands import CommandLog
from csms.storage.facts import StationFacts
from csms.storage.queries import Queries


class Steering:
    """`timeout`: s that a station is given for an answer; `timeouts`: by action, where they differ."""

    def __init__(
        self,
        line_of: Callable[[int], Line | None],
        commands: CommandLog,
        queries: Queries,
        next_id: Callable[[], int],
        clock: Callable[[], datetime],
        timeout: float,
        password_hash: Callable[[str, str, bytes], bytes],
        bulk: BulkLog,
        timeouts: Mapping[str, float] | None = None,
    ):
        self.desk = Desk(line_of, commands, next_id, clock, timeout, password_hash, timeouts=timeouts)
        self.followups = FollowUps(self.desk)
        self.neutral = Neutral(self.desk, StationFacts(queries), clock)
        self.bulk = Bulk(self.desk, bulk, self._question, clock)

    async def _question(self, target: Target, asked: Asked, online: bool) -> tuple[str, bytes]:
        """What a bulk command asks of one of its stations, in the version that this one speaks."""
        action, payload = asked.action, asked.payload
        if asked.verb is not None:
            verb = VERBS[asked.verb]
            questions = await self.neutral.questions(target, verb, msgspec.convert(payload, verb.ask), online=online)
            if len(questions) != 1:
                raise Unsayable(f"It takes {len(questions)} messages to this station: ask it by itself.")
            action, payload = questions[0].action, questions[0].payload
        wrong = wrong_with(self.desk.version_of(target), str(action), payload)
        if wrong is not None:
            raise Unsayable(wrong[1])
        return str(action), msgspec.json.encode(payload)

    async def close(self) -> None:
        """Nothing more is asked; what was has its final state on record (the links are closed by now)."""
        await self.bulk.close()
        await self.neutral.close()
        await self.followups.close()
        await self.desk.close()
