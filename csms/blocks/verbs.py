"""What operators ask for in neutral words: how it is put to a station of each version, and which rules it has to keep.

A verb is a table entry: the words people use (a dataclass), and for each version the function that makes the questions of
them: `def reset_16(ask: Reset, facts: Facts) -> Iterator[msgspec.Struct]`. What a version cannot say, or a rule forbids, is
`Unsayable`, with what to do instead. Ids of the system's stay `GIVEN`: they are allocated when the question is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from csms.blocks.asking import ALLOCATED
from csms.domain.tokens import Token
from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, action_of, actions

A = TypeVar("A")
T = TypeVar("T")

GIVEN = 0  # Stands where the system puts an id of its own.
# A dataclass of words refuses words it does not know (read by the web's validation).
STRICT = {"extra": "forbid"}


class Unsayable(Exception):
    """A rule or the station's version forbids this. The text says what to do instead; `status` how the API answers."""

    def __init__(self, detail: str, status: int = 422):
        super().__init__(detail)
        self.detail = detail
        self.status = status


class Question(msgspec.Struct, frozen=True):
    """What goes to the station: an action of its version, and a payload without the ids that are still to be given."""

    action: str
    payload: dict[str, Any]


class Installed(msgspec.Struct, frozen=True):
    """A charging profile that the station has from us."""

    profile_id: int
    evse_id: int
    purpose: str
    stack_level: int
    profile: dict[str, Any]


class Charging(msgspec.Struct, frozen=True):
    """The session that something is asked for."""

    id: int
    transaction_id: str
    evse_id: int | None
    is_open: bool


@dataclass(slots=True)
class Facts:
    """What is known of a station that a question may depend on. Limits: as it declared them, by our name for them."""

    now: datetime
    limits: dict[str, str] = field(default_factory=dict)
    profiles: Sequence[Installed] = ()
    session: Charging | None = None
    tokens: dict[str, Token] = field(default_factory=dict)  # By what was asked for.

    def most(self, limit: str) -> int | None:
        """How many the station takes; None when it never said (or said nonsense): then all go in one message."""
        try:
            most = int(self.limits[limit])
        except (KeyError, ValueError):
            return None
        return most if most > 0 else None


Build = Callable[[A, Facts], Iterable[msgspec.Struct]]


@dataclass(frozen=True)
class Verb(Generic[A]):
    """`limits`: what the station has to have declared before the questions are made; asked of it where it has not.

    `several`: it may take more than one question, which are sent in turn. `strictly`: each only when the station agreed to
    the one before.
    """

    name: str
    ask: type[A]
    v16: Build[A]
    v2x: Build[A]
    limits: Callable[[A], tuple[str, ...]] = lambda ask: ()
    several: bool = False
    strictly: bool = False

    def questions(self, version: Version, ask: A, facts: Facts) -> list[Question]:
        """What is to be asked, judged by the official schema; raises `Unsayable`."""
        build = self.v16 if version is Version.V16 else self.v2x
        return [judged(version, message) for message in build(ask, facts)]


def judged(version: Version, message: msgspec.Struct) -> Question:
    """The question, as the official schema allows it and without ids that are still to be given; else `Unsayable`."""
    action = actions(version)[action_of(type(message)).name]
    payload: dict[str, Any] = msgspec.to_builtins(message)
    wrong = schemas.violation(action, payload)
    if wrong is not None:
        raise Unsayable(f"A station with OCPP {version} would not understand {action.name}: {wrong.description}.")
    for path in ALLOCATED[version].get(action.name, ()):
        payload = _without_given(payload, path)
    return Question(action.name, payload)


def _without_given(payload: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    head, *rest = path
    if head not in payload:
        return payload
    if rest:
        return {**payload, head: _without_given(payload[head], tuple(rest))}
    return payload if payload[head] != GIVEN else {name: value for name, value in payload.items() if name != head}


# Words that many verbs share


def instant(moment: datetime | None, name: str) -> datetime | None:
    """A time as stations understand it: UTC, whole seconds (T48, T50)."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise Unsayable(f"{name}: add the time zone, for example 2027-01-01T00:00:00Z.")
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise Unsayable(f"{name}: there is no such time in UTC.") from None


def only_connector(ask: Any) -> int:
    """The place in 1.6, whose connectors are our EVSEs with one connector each; 0 is the whole station."""
    if ask.connector_id not in (None, 1):
        raise Unsayable("The station speaks OCPP 1.6: an EVSE has one connector there. Leave connector_id out.")
    if ask.connector_id is not None and ask.evse_id is None:
        raise Unsayable("Name the EVSE of the connector: evse_id.")
    return ask.evse_id or 0


def in_parts(items: Sequence[T], most: int | None) -> Iterator[Sequence[T]]:
    """The items in parts that the station takes (T76); one part when nothing is known."""
    size = most or max(1, len(items))
    for start in range(0, len(items), size):
        yield items[start : start + size]
