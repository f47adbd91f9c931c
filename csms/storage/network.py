"""A whole network: its places, locations, stations and tokens put in bulk, and what it adds up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.domain.tokens import folded
from csms.storage.dialect import first_number, pairs, second_text
from csms.storage.tables import connectors, locations, operators, places, sessions, stations, tokens
from csms.storage.upsert import upsert

Rows = list[dict[str, Any]]


@dataclass
class Part:
    """Some lines of a network. Operators and locations are named, as in its file."""

    places: Rows = field(default_factory=list)  # code, kind, name, latitude, longitude
    locations: Rows = field(default_factory=list)  # operator, code, name, latitude, longitude, place, service_area
    stations: Rows = field(default_factory=list)  # operator, identity, location, and columns of stations
    tokens: Rows = field(default_factory=list)  # operator, value

    @property
    def operators(self) -> set[str]:
        return {row["operator"] for rows in (self.locations, self.stations, self.tokens) for row in rows}


class UnknownLocation(Exception):
    """A station stands at a location that is neither here nor in the same part."""


def put_network(part: Part, now: datetime) -> Callable[[sa.Connection], int]:
    """Create or change all of the part in one transaction; returns how many stations are new. UnknownLocation."""

    def job(connection: sa.Connection) -> int:
        ids = _operators(connection, part.operators)
        upsert(connection, places, ("code",), part.places)
        _put_locations(connection, part.locations, ids, now)
        _put_tokens(connection, part.tokens, ids, now)
        return _put_stations(connection, part.stations, ids, now)

    return job


def _operators(connection: sa.Connection, names: Iterable[str]) -> dict[str, int]:
    wanted = set(names)
    query = sa.select(operators.c.name, operators.c.id).where(operators.c.name.in_(wanted))
    known = {name: number for name, number in connection.execute(query)}
    missing = wanted - known.keys()
    if missing:
        connection.execute(sa.insert(operators), [{"name": name} for name in sorted(missing)])
        known = {name: number for name, number in connection.execute(query)}
    return known


def _put_locations(connection: sa.Connection, rows: Rows, ids: dict[str, int], now: datetime) -> None:
    cities = {row["place"] for row in rows if row["place"] is not None}
    query = sa.select(places.c.code, places.c.name).where(places.c.code.in_(cities))
    names = {code: name for code, name in connection.execute(query)} if cities else {}
    upsert(
        connection, locations, ("operator_id", "code"),
        [
            {
                **{key: value for key, value in row.items() if key != "operator"}, "operator_id": ids[row["operator"]],
                "city": names.get(row["place"]), "kind": "highway" if row["service_area"] else "city",
                "created_at": now, "changed_at": now,
            }
            for row in rows
        ],
        keep=("created_at",),
    )  # fmt: skip


def _put_tokens(connection: sa.Connection, rows: Rows, ids: dict[str, int], now: datetime) -> None:
    found = [
        {
            "operator_id": ids[row["operator"]], "folded": folded(row["value"]), "value": row["value"],
            "status": "accepted", "created_at": now,
        }
        for row in rows
    ]  # fmt: skip
    upsert(connection, tokens, ("operator_id", "folded"), found, keep=("value", "status", "created_at"))


def _put_stations(connection: sa.Connection, rows: Rows, ids: dict[str, int], now: datetime) -> int:
    where = _location_ids(connection, rows, ids)
    found: Rows = []
    for row in rows:
        row = dict(row)
        operator_id, code = ids[row.pop("operator")], row.pop("location")
        if code is not None:
            row["location_id"] = where.get((operator_id, code))
            if row["location_id"] is None:
                raise UnknownLocation(f"there is no location {code!r}, where station {row['identity']!r} should stand")
        found.append({**row, "operator_id": operator_id, "created_at": now})
    keys = [(row["operator_id"], row["identity"]) for row in found]
    known = connection.execute(_KNOWN, {"stations": msgspec.json.encode(keys).decode()}).scalar_one()
    upsert(connection, stations, ("operator_id", "identity"), found, keep=("created_at",))
    return len(found) - known


_asked = pairs("stations")
_KNOWN = sa.select(sa.func.count()).select_from(
    sa.join(
        _asked, stations,
        sa.and_(
            stations.c.operator_id == first_number(_asked.c.value), stations.c.identity == second_text(_asked.c.value)
        ),
    )
)  # fmt: skip


def _location_ids(connection: sa.Connection, rows: Rows, ids: dict[str, int]) -> dict[tuple[int, str], int]:
    codes = {row["location"] for row in rows if row["location"] is not None}
    query = sa.select(locations.c.operator_id, locations.c.code, locations.c.id).where(
        locations.c.code.in_(codes), locations.c.operator_id.in_(ids.values())
    )
    return {(operator, code): number for operator, code, number in connection.execute(query)} if codes else {}


# What it adds up to


async def summary(reader: AsyncEngine, operator: str | None) -> dict[str, Any]:
    """The totals of an operator's network, or of all; `by_operator` besides."""
    async with reader.connect() as connection:

        async def rows(query: sa.Select) -> list[dict[str, Any]]:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

        scope = sa.true() if operator is None else operators.c.name == operator
        by_operator = {row.pop("name"): row for row in await rows(_STATIONS.where(scope))}
        charging = {row["name"]: row["charging"] for row in await rows(_CHARGING.where(scope))}
        (covered,) = await rows(_COVERED.where(scope))
        there = {row["kind"]: row["number"] for row in await rows(_PLACES)}
    for name, counts in by_operator.items():
        counts["charging"] = charging.get(name, 0)
    names = ("stations", "dc_stations", "connectors", "online", "charging")
    areas = there.get("service_area", 0)
    return {
        "operators": len(by_operator),
        **{name: sum(counts[name] for counts in by_operator.values()) for name in names},
        "cities": there.get("city", 0), "service_areas": areas, **covered,
        "service_area_share": round(covered["service_areas_covered"] / areas, 4) if areas else 0.0,
        "by_operator": by_operator,
    }  # fmt: skip


def _number_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


_REPORTED = (
    sa.select(sa.func.count())
    .where(connectors.c.station_id == stations.c.id, connectors.c.connector_id != 0)
    .correlate(stations)
    .scalar_subquery()
)
_STATIONS = (
    sa.select(
        operators.c.name, sa.func.count().label("stations"), _number_of(stations.c.current == "DC").label("dc_stations"),
        sa.cast(sa.func.sum(sa.func.coalesce(stations.c.outlets, _REPORTED)), sa.BigInteger).label("connectors"),
        _number_of(stations.c.connected_at.is_not(None)).label("online"),
    )
    .join_from(stations, operators, stations.c.operator_id == operators.c.id)
    .group_by(operators.c.name)
    .order_by(operators.c.name)
)  # fmt: skip
_CHARGING = (
    sa.select(operators.c.name, sa.func.count().label("charging"))
    .join_from(sessions, operators, sessions.c.operator_id == operators.c.id)
    .where(sessions.c.ended_at.is_(None))
    .group_by(operators.c.name)
)
_USED = sa.exists().where(stations.c.location_id == locations.c.id)
_COVERED = (
    sa.select(
        sa.func.count().label("locations"),
        sa.func.count(sa.distinct(locations.c.place)).label("cities_covered"),
        sa.func.count(sa.distinct(locations.c.service_area)).label("service_areas_covered"),
    )
    .join_from(locations, operators, locations.c.operator_id == operators.c.id)
    .where(_USED)
)
_PLACES = sa.select(places.c.kind, sa.func.count().label("number")).group_by(places.c.kind)
