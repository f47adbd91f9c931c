"""The latest state of the stations that changed, coalesced: latest wins, and pressure may drop some."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from csms.storage.database import Database
from csms.storage.dialect import as_json, json_row, json_rows
from csms.storage.outbox import Entry
from csms.storage.tables import connectors, from_us, operators, sessions, stations


class StationKey(NamedTuple):
    operator: str
    station: str


class ConnectorState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a connector last reported."""

    evse_id: int
    connector_id: int
    status: str
    reported_at: datetime
    detail: str | None = None
    error_code: str | None = None


class SessionState(msgspec.Struct, frozen=True, omit_defaults=True):
    """An open session: energy in Wh, power in W, state of charge in percent."""

    id: int
    transaction_id: str
    phase: str
    started_at: datetime
    energy_wh: float
    evse_id: int | None = None
    connector_id: int | None = None
    power_w: float | None = None
    soc: float | None = None


class StationState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A station as it was at `at`."""

    station: str
    operator: str
    online: bool
    at: datetime
    connectors: tuple[ConnectorState, ...]
    sessions: tuple[SessionState, ...]
    connected_at: datetime | None = None
    version: str | None = None
    registration: str | None = None


class Changed:
    """The stations that changed since they were last taken, each once, the longest waiting first."""

    def __init__(self, most: int):
        self._most = most
        self._keys: dict[StationKey, None] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._keys)

    def note(self, page: Iterable[Entry]) -> None:
        """When full, newcomers are dropped; who waits is sent with its state of then, so none is outdated."""
        for entry in page:
            key = StationKey(entry.operator, entry.station)
            if key in self._keys:
                continue
            if len(self._keys) < self._most:
                self._keys[key] = None
            else:
                self.dropped += 1

    def take(self, most: int) -> list[StationKey]:
        """The longest waiting."""
        keys = list(islice(self._keys, most))
        for key in keys:
            del self._keys[key]
        return keys


class StationStates:
    """Reads the state of many stations with one query."""

    def __init__(self, database: Database):
        self._reader = database.reader

    async def of(self, keys: Collection[StationKey], at: datetime) -> list[StationState]:
        """Their states; `at` is the time of asking. Unknown stations are left out."""
        wanted = set(keys)
        operators_, identities = {key.operator for key in wanted}, {key.station for key in wanted}
        async with self._reader.connect() as connection:
            found = await connection.execute(_STATES, {"operators": list(operators_), "identities": list(identities)})
            rows = _decode(found.scalar_one())
        return [_state(row, at) for row in rows if StationKey(row[0], row[1]) in wanted]


_Row = tuple[str, str, int | None, str | None, str | None, list[list[Any]], list[list[Any]]]
_decode = msgspec.json.Decoder(list[_Row]).decode


def _state(row: _Row, at: datetime) -> StationState:
    operator, station, connected_at, version, registration, reported, running = row
    return StationState(
        station=station, operator=operator, online=connected_at is not None, at=at,
        connectors=tuple(
            ConnectorState(evse, connector, status, from_us(reported_at), *rest)
            for evse, connector, status, reported_at, *rest in reported
        ),
        sessions=tuple(
            SessionState(id, transaction_id, phase, from_us(started_at), *rest)
            for id, transaction_id, phase, started_at, *rest in running
        ),
        connected_at=None if connected_at is None else from_us(connected_at),
        version=version, registration=registration,
    )  # fmt: skip


def _rows(columns: Iterable[sa.ColumnElement[Any]], *conditions: sa.ColumnElement[bool]) -> Any:
    """The rows of another table that belong to a station, as one JSON array."""
    rows = sa.select(json_rows(json_row(*columns))).where(*conditions)
    return as_json(rows.correlate(stations).scalar_subquery())


# One row again, for the same reason as the outbox' page. Columns come in the order of the structs' fields.
_c, _s = connectors.c, sessions.c
_STATES = (
    sa.select(
        json_rows(
            json_row(
                operators.c.name,
                stations.c.identity,
                stations.c.connected_at,
                stations.c.version,
                stations.c.registration,
                _rows(
                    (_c.evse_id, _c.connector_id, _c.status, _c.reported_at, _c.detail, _c.error_code),
                    _c.station_id == stations.c.id,
                ),
                _rows(
                    (_s.id, _s.transaction_id, _s.phase, _s.started_at, _s.energy_wh, _s.evse_id,
                     _s.connector_id, _s.power_w, _s.soc),
                    _s.station_id == stations.c.id, _s.ended_at.is_(None),
                ),
            )
        )
    )
    .select_from(sa.join(stations, operators))
    .where(
        operators.c.name.in_(sa.bindparam("operators", expanding=True)),
        stations.c.identity.in_(sa.bindparam("identities", expanding=True)),
    )
)  # fmt: skip
