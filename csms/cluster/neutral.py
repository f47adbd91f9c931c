"""Puts an operator's neutral words to a station: in its version's questions, within what it declared, sent in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from csms.blocks import charging_verbs, device_verbs, setting_verbs, token_verbs
from csms.blocks.charging_verbs import PERIODS, UNITS
from csms.blocks.setting_verbs import CONFIGURATION_KEYS, READ, WRITTEN
from csms.blocks.token_verbs import A_MESSAGE, LIST_ENTRIES
from csms.blocks.verbs import Facts, Question, Unsayable, Verb
from csms.cluster.desk import Desk, Target
from csms.domain.commands import Command
from csms.ocpp.catalogue import Version
from csms.storage.facts import StationFacts

_encode = msgspec.json.Encoder().encode

# Where a station declares a limit: a key of its configuration (1.6), a variable of its device model (2.x).
DECLARED_16 = {
    CONFIGURATION_KEYS: "GetConfigurationMaxKeys",
    A_MESSAGE: "SendLocalListMaxLength",
    LIST_ENTRIES: "LocalAuthListMaxLength",
    PERIODS: "ChargingScheduleMaxPeriods",
    UNITS: "ChargingScheduleAllowedChargingRateUnit",
}
DECLARED_2X = {
    READ: "DeviceDataCtrlr/ItemsPerMessage[GetVariables]",
    WRITTEN: "DeviceDataCtrlr/ItemsPerMessage[SetVariables]",
    A_MESSAGE: "LocalAuthListCtrlr/ItemsPerMessage",
    PERIODS: "SmartChargingCtrlr/PeriodsPerSchedule",
    UNITS: "SmartChargingCtrlr/RateUnit",
}
VERBS: dict[str, Verb[Any]] = {
    verb.name: verb for verb in (*device_verbs.VERBS, *setting_verbs.VERBS, *charging_verbs.VERBS, *token_verbs.VERBS)
}
_PATIENCE = 10.0  # s that a station is given to tell its limits, before it is asked all the same.


@dataclass(frozen=True)
class Outcome:
    """What was asked so far. `planned`: how many questions it takes; `whole`: no more of them will be asked."""

    commands: Sequence[Command]
    planned: int
    whole: bool


class Neutral:
    """Asks stations in neutral words. `online`: whether a station is connected, as far as is on record."""

    def __init__(self, desk: Desk, facts: StationFacts, clock: Callable[[], datetime]):
        self._desk = desk
        self._facts = facts
        self._clock = clock
        self._tasks: set[asyncio.Task] = set()

    async def questions(self, target: Target, verb: Verb[Any], ask: Any, *, online: bool) -> list[Question]:
        """What is to be asked; raises `Unsayable`."""
        version = self._desk.version_of(target)
        return verb.questions(version, ask, await self.facts(target, ask, verb.limits(ask), online=online))

    async def facts(self, target: Target, ask: Any, limits: Sequence[str] = (), *, online: bool) -> Facts:
        """What the questions for `ask` depend on, read only as far as they do."""
        known = self._facts
        facts = Facts(self._clock())
        if limits:
            facts.limits = await self._limits(target, limits, online)
        if getattr(ask, "stack_level", None) is not None:
            facts.profiles = await known.profiles(target.id)
        session = getattr(ask, "session_id", None)
        if session is not None:
            facts.session = await known.session(target.id, session)
            if facts.session is None:
                raise Unsayable(f"There is no session {session} of this station.", 404)
        if getattr(ask, "named", None):
            facts.tokens = await known.tokens(target.operator, ask.named)
        return facts

    async def ask(
        self, target: Target, verb: Verb[Any], ask: Any, *, online: bool, wait: float, queue: float = 0.0
    ) -> Outcome:
        """Ask it, all questions in turn; what is not settled after `wait` s goes on by itself."""
        questions = await self.questions(target, verb, ask, online=online)
        if len(questions) == 1:
            (only,) = questions
            command = await self._desk.ask_raw(target, only.action, _encode(only.payload), wait=wait, queue=queue)
            return Outcome([command], 1, whole=True)
        done: list[Command] = []
        asking = asyncio.create_task(self._in_turn(target, questions, verb.strictly, queue, done), name=verb.name)
        self._tasks.add(asking)
        asking.add_done_callback(self._tasks.discard)
        await asyncio.wait({asking}, timeout=wait)
        if asking.done():
            asking.result()
        return Outcome(list(done), len(questions), whole=asking.done())

    async def close(self) -> None:
        """What was not asked yet will not be; what was is the desk's."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    async def _in_turn(
        self, target: Target, questions: list[Question], strictly: bool, queue: float, done: list[Command]
    ) -> None:
        """Each when the one before is settled: a station that does not answer one is not asked the next."""
        for question in questions:
            done.append(await self._desk.ask_raw(target, question.action, _encode(question.payload), queue=queue))
            if done[-1].status != "answered" or (strictly and not done[-1].accepted):
                break

    async def _limits(self, target: Target, limits: Sequence[str], online: bool) -> dict[str, str]:
        """As the station declared them; it is asked for those that it never did (T76)."""
        version = self._desk.version_of(target)
        places = DECLARED_16 if version is Version.V16 else DECLARED_2X
        names = {places[limit]: limit for limit in limits if limit in places}
        found = await self._facts.declared(target.id, names)
        lacking = [name for name in names if name not in found]
        if lacking and online:
            action, payload = _limit_question(version, lacking)
            await self._desk.ask_raw(target, action, payload, wait=_PATIENCE)
            found = await self._facts.declared(target.id, names)
        return {names[name]: value for name, value in found.items()}


def _limit_question(version: Version, names: Sequence[str]) -> tuple[str, bytes]:
    if version is Version.V16:
        return "GetConfiguration", _encode({"key": list(names)})
    return "GetVariables", _encode({"getVariableData": [_variable(name) for name in names]})


def _variable(name: str) -> dict[str, Any]:
    component, _, variable = name.partition("/")
    plain, _, instance = variable.rstrip("]").partition("[")
    named = {"name": plain, "instance": instance} if instance else {"name": plain}
    return {"component": {"name": component}, "variable": named}
