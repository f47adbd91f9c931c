"""Neutral verbs of blocks D and H: reservations for tokens, and lists of tokens that a station judges by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

import msgspec

from csms.blocks.authorization import tag_info, token_info
from csms.blocks.remote_control import DEFAULT_TOKEN_TYPE
from csms.blocks.verbs import GIVEN, STRICT, Facts, T, Unsayable, Verb, in_parts, instant
from csms.domain.tokens import Token, decide, folded
from csms.ocpp import v16, v201

Questions = Iterator[msgspec.Struct]

LIST_ENTRIES, A_MESSAGE = "list_entries", "list_entries_a_message"


@dataclass(frozen=True)
class Reserve:
    """Keep an EVSE (or, without one, any) for a token until `expires_at`; for its whole `group` where one is given."""

    __pydantic_config__: ClassVar = STRICT
    token: str
    expires_at: datetime
    evse_id: int | None = None
    connector_type: str | None = None
    group: str | None = None
    token_type: str | None = None

    @property
    def named(self) -> Sequence[str]:
        return (self.token,)


def reserve_16(ask: Reserve, facts: Facts) -> Questions:
    """Connector 0 is any, where the station can do that."""
    if ask.connector_type is not None:
        raise Unsayable("OCPP 1.6 cannot reserve by connector_type: name the EVSE.")
    token, expires_at = _reserved(ask, facts)
    yield v16.ReserveNow(
        connector_id=ask.evse_id or 0, expiry_date=expires_at, id_tag=token.value, reservation_id=GIVEN,
        parent_id_tag=ask.group or token.group,
    )  # fmt: skip


def reserve_2x(ask: Reserve, facts: Facts) -> Questions:
    token, expires_at = _reserved(ask, facts)
    group = ask.group or token.group
    yield v201.ReserveNow(
        id=GIVEN, expiry_date_time=expires_at, evse_id=ask.evse_id, connector_type=ask.connector_type,
        id_token=_id_token(token, ask.token_type),
        group_id_token=v201.IdToken(id_token=group, type="Central") if group else None,
    )  # fmt: skip


def _reserved(ask: Reserve, facts: Facts) -> tuple[Token, datetime]:
    expires_at = instant(ask.expires_at, "expires_at")
    if expires_at is None or expires_at <= facts.now:
        raise Unsayable("expires_at has passed: a reservation ends in the future.")
    return facts.tokens.get(ask.token) or Token(ask.token), expires_at


@dataclass(frozen=True)
class CancelReservation:
    """By the number that the station knows: `reservation_id`."""

    __pydantic_config__: ClassVar = STRICT
    reservation_id: int


def cancel_16(ask: CancelReservation, facts: Facts) -> Questions:
    yield v16.CancelReservation(reservation_id=ask.reservation_id)


def cancel_2x(ask: CancelReservation, facts: Facts) -> Questions:
    yield v201.CancelReservation(reservation_id=ask.reservation_id)


@dataclass(frozen=True)
class ReplaceList:
    """The station's whole list: these tokens, as they are known here."""

    __pydantic_config__: ClassVar = STRICT
    tokens: list[str]

    @property
    def named(self) -> Sequence[str]:
        return self.tokens


@dataclass(frozen=True)
class ChangeList:
    """Entries that come or change, and entries that go."""

    __pydantic_config__: ClassVar = STRICT
    put: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)

    @property
    def named(self) -> Sequence[str]:
        return (*self.put, *self.remove)


def replace_16(ask: ReplaceList, facts: Facts) -> Questions:
    most = facts.most(LIST_ENTRIES)
    tokens = _known(ask.tokens, facts)
    if most is not None and len(tokens) > most:
        raise Unsayable(f"The station keeps at most {most} tokens in its list; these are {len(tokens)}.")
    entries = [_entry_16(token, facts) for token in tokens]
    parts = list(in_parts(entries, facts.most(A_MESSAGE))) or [[]]
    for number, part in enumerate(parts):
        yield v16.SendLocalList(
            list_version=GIVEN, update_type="Differential" if number else "Full",
            local_authorization_list=list(part) or None,
        )  # fmt: skip


def change_16(ask: ChangeList, facts: Facts) -> Questions:
    entries = [_entry_16(token, facts) for token in _known(ask.put, facts)]
    entries += [v16.AuthorizationData(id_tag=token.value) for token in _removed(ask, facts)]
    for part in in_parts(_some(entries), facts.most(A_MESSAGE)):
        yield v16.SendLocalList(list_version=GIVEN, update_type="Differential", local_authorization_list=list(part))


def replace_2x(ask: ReplaceList, facts: Facts) -> Questions:
    entries = [_entry_2x(token, facts) for token in _known(ask.tokens, facts)]
    parts = list(in_parts(entries, facts.most(A_MESSAGE))) or [[]]
    for number, part in enumerate(parts):
        yield v201.SendLocalList(
            version_number=GIVEN, update_type="Differential" if number else "Full",
            local_authorization_list=list(part) or None,
        )  # fmt: skip


def change_2x(ask: ChangeList, facts: Facts) -> Questions:
    entries = [_entry_2x(token, facts) for token in _known(ask.put, facts)]
    entries += [v201.AuthorizationData(id_token=_id_token(token)) for token in _removed(ask, facts)]
    for part in in_parts(_some(entries), facts.most(A_MESSAGE)):
        yield v201.SendLocalList(version_number=GIVEN, update_type="Differential", local_authorization_list=list(part))


def _known(values: Sequence[str], facts: Facts) -> list[Token]:
    """Each token once, whatever its case (2.x D01.FR.18); an entry without information would be a removal (T81)."""
    unknown = [value for value in values if value not in facts.tokens]
    if unknown:
        raise Unsayable(f"Unknown here: {', '.join(map(repr, unknown[:5]))}. Add them first: PUT /tokens/{{value}}.")
    return list({folded(value): facts.tokens[value] for value in values}.values())


def _removed(ask: ChangeList, facts: Facts) -> list[Token]:
    put = {folded(value) for value in ask.put}
    both = [value for value in ask.remove if folded(value) in put]
    if both:
        raise Unsayable(f"{both[0]!r} is to be put and to be removed: choose.")
    return list({folded(value): facts.tokens.get(value) or Token(value) for value in ask.remove}.values())


def _some(entries: list[T]) -> list[T]:
    if not entries:
        raise Unsayable("Name at least one token to put or to remove.")
    return entries


def _entry_16(token: Token, facts: Facts) -> v16.AuthorizationData:
    return v16.AuthorizationData(id_tag=token.value, id_tag_info=tag_info(decide(token, facts.now)))


def _entry_2x(token: Token, facts: Facts) -> v201.AuthorizationData:
    return v201.AuthorizationData(id_token=_id_token(token), id_token_info=token_info(decide(token, facts.now)))


def _id_token(token: Token, type: str | None = None) -> v201.IdToken:
    return v201.IdToken(id_token=token.value, type=type or token.type or DEFAULT_TOKEN_TYPE)


@dataclass(frozen=True)
class ListVersion:
    """Ask which version of the local list the station has."""

    __pydantic_config__: ClassVar = STRICT


def version_16(ask: ListVersion, facts: Facts) -> Questions:
    yield v16.GetLocalListVersion()


def version_2x(ask: ListVersion, facts: Facts) -> Questions:
    yield v201.GetLocalListVersion()


RESERVE = Verb("reservations", Reserve, reserve_16, reserve_2x)
CANCEL = Verb("reservations/cancel", CancelReservation, cancel_16, cancel_2x)
REPLACE_LIST = Verb(
    "local-list", ReplaceList, replace_16, replace_2x, several=True, strictly=True,
    limits=lambda ask: (A_MESSAGE, LIST_ENTRIES) if len(ask.tokens) > 1 else (),
)  # fmt: skip
VERBS = (
    RESERVE,
    CANCEL,
    REPLACE_LIST,
    Verb("local-list/change", ChangeList, change_16, change_2x, several=True, strictly=True,
         limits=lambda ask: (A_MESSAGE,) if len(ask.named) > 1 else ()),
    Verb("local-list/version", ListVersion, version_16, version_2x),
)  # fmt: skip
