"""What is known of a station that questions to it depend on: the limits it declared, the profiles it has, and tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from csms.blocks.verbs import Charging, Installed
from csms.domain.tokens import Token, folded
from csms.storage.queries import Queries
from csms.storage.tables import charging_profiles, operators, reported, sessions, tokens

_MANY = 500  # Values a query.


class StationFacts:
    """Reads committed state."""

    def __init__(self, queries: Queries):
        self._rows = queries.rows

    async def declared(self, station: int, names: Collection[str]) -> dict[str, str]:
        """The values of these keys (1.6) or variables (2.x: `Component/Variable[instance]`), by name; names ignore case.

        Empty for what the station says it does not have.
        """
        wanted = {name.casefold(): name for name in names}
        plain = sa.func.lower(reported.c.key)
        query = sa.select(reported.c.kind, reported.c.key, reported.c.data).where(
            reported.c.station_id == station,
            reported.c.kind.in_(("configuration", "value", "variable")),
            plain.in_([*wanted, *(f"{name}:actual" for name in wanted)]),
        )
        found: dict[str, str] = {}
        for row in sorted(
            await self._rows(query.order_by(reported.c.reported_at)), key=lambda row: row["kind"] == "value"
        ):
            name = wanted.get(row["key"].casefold().removesuffix(":actual"))
            value = _value(row["kind"], msgspec.json.decode(row["data"]))
            if name is not None and value is not None:
                found[name] = value
        return found

    async def profiles(self, station: int) -> list[Installed]:
        query = sa.select(charging_profiles).where(charging_profiles.c.station_id == station)
        return [
            Installed(
                row["profile_id"],
                row["evse_id"],
                row["purpose"],
                row["stack_level"],
                msgspec.json.decode(row["profile"]),
            )
            for row in await self._rows(query)
        ]

    async def session(self, station: int, session: int) -> Charging | None:
        """A session of this station."""
        query = sa.select(sessions).where(sessions.c.id == session, sessions.c.station_id == station)
        for row in await self._rows(query) if abs(session) < 1 << 63 else ():
            return Charging(row["id"], row["transaction_id"], row["evse_id"], row["ended_at"] is None)
        return None

    async def tokens(self, operator: str, values: Sequence[str]) -> dict[str, Token]:
        """Those of these tokens that the operator knows, by what was asked for."""
        forms = {value: folded(value) for value in values}
        known: dict[str, Token] = {}
        distinct = sorted(set(forms.values()))
        for start in range(0, len(distinct), _MANY):
            query = (
                sa.select(tokens)
                .join_from(tokens, operators)
                .where(operators.c.name == operator, tokens.c.folded.in_(distinct[start : start + _MANY]))
            )
            for row in await self._rows(query):
                known[row["folded"]] = Token(row["value"], row["type"], row["status"], row["group"], row["expires_at"])
        return {value: known[form] for value, form in forms.items() if form in known}


def _value(kind: str, data: Any) -> str | None:
    if data is None:
        return ""
    if kind != "variable":
        return data.get("value")
    for attribute in data.get("variableAttribute", ()):
        if attribute.get("type", "Actual") == "Actual":
            return attribute.get("value")
    return None
