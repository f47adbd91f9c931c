"""What is listed, and what each listing may be filtered and sorted by: read models for people and programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from csms.storage.dialect import searched
from csms.storage.history import status_history
from csms.storage.paging import Condition, Listing
from csms.storage.tables import (
    api_keys,
    audit,
    certificates,
    charging_profiles,
    commands,
    connectors,
    local_lists,
    locations,
    operators,
    reported,
    reservations,
    samples,
    sessions,
    station_log,
    stations,
    tariffs,
    tokens,
    users,
)  # fmt: skip

_OPERATOR = operators.c.name.label("operator")
_STATION_ID = stations.c.identity.label("station_id")


def _is(column: sa.ColumnElement[Any]) -> Condition:
    return lambda value: column == value


def _from(column: sa.ColumnElement[Any]) -> Condition:
    return lambda moment: column >= moment


def _until(column: sa.ColumnElement[Any]) -> Condition:
    return lambda moment: column < moment


def _null(column: sa.ColumnElement[Any]) -> Condition:
    return lambda wanted: column.is_(None) if wanted else column.is_not(None)


def _has(*columns: sa.ColumnElement[Any]) -> Condition:
    """Whether a text stands in one of the columns, whatever the case."""
    return lambda text: sa.or_(*(sa.func.lower(column).contains(text.lower(), autoescape=True) for column in columns))


def _searched(*columns: sa.ColumnElement[Any]) -> Condition:
    """The same where rows are many: of one or two characters, which stand everywhere, a column has to begin with them."""
    texts = searched(*columns)

    def condition(text: str) -> sa.ColumnElement[bool]:
        text = text.lower()
        if len(text) > 2:
            return texts.contains(text, autoescape=True)
        return sa.or_(texts.startswith(text, autoescape=True), texts.contains("\n" + text, autoescape=True))

    return condition


def _of_station(column: sa.ColumnElement[Any]) -> Condition:
    """Stations of this identity: found first, since there are few (one an operator)."""
    return lambda identity: column.in_(sa.select(stations.c.id).where(stations.c.identity == identity))


def _decoded(*names: str) -> Any:
    """Rows whose columns of these names hold JSON."""
    return lambda row: {**row, **{name: msgspec.json.decode(row[name]) for name in names}}


def _asked(table: sa.Table, *extra: sa.ColumnElement) -> sa.Select:
    """What stations were asked for, with station and operator by name."""
    columns = [column for column in table.c if column.name != "station_id"]
    return (
        sa.select(*columns, _OPERATOR, _STATION_ID, *extra)
        .join_from(table, stations, table.c.station_id == stations.c.id)
        .join(operators, stations.c.operator_id == operators.c.id)
    )


def _box(corners: tuple[float, float, float, float]) -> sa.ColumnElement[bool]:
    south, west, north, east = corners
    longitude = locations.c.longitude
    inside = longitude.between(west, east) if west <= east else sa.or_(longitude >= west, longitude <= east)
    return sa.and_(locations.c.latitude.between(south, north), inside)


def _unusual(column: sa.ColumnElement[Any], usual: str) -> Condition:
    """Most rows have the usual value: the others have an index of their own."""
    others = column != sa.literal_column(f"'{usual}'")
    return lambda value: column == value if value == usual else sa.and_(column == value, others)


def _reservation_is(asked: tuple[str, datetime]) -> sa.ColumnElement[bool]:
    """As `reservation_state` tells it: one that nobody used or cancelled is over when it expires."""
    status, now = asked
    over = sa.and_(reservations.c.status == "accepted", reservations.c.expires_at <= now)
    return sa.or_(reservations.c.status == "expired", over) if status == "expired" else sa.and_(
        reservations.c.status == status, sa.not_(over)
    )  # fmt: skip


OPERATORS = Listing(
    sa.select(operators), {"name": (operators.c.name,)}, "name", operators.c.id,
    {"text": _has(operators.c.name, operators.c.display_name)},
)  # fmt: skip

LOCATION = sa.select(
    *(column for column in locations.c if column.name not in ("id", "code")), locations.c.id.label("number"),
    locations.c.code.label("id"), _OPERATOR,
).join_from(locations, operators)  # fmt: skip
LOCATIONS = Listing(
    LOCATION,
    {
        "id": (locations.c.code, locations.c.operator_id),
        "name": (locations.c.name, locations.c.id),
    },
    "id",
    locations.c.operator_id,
    {
        "city": _is(locations.c.city), "kind": _is(locations.c.kind), "service_area": _is(locations.c.service_area),
        "text": _searched(locations.c.code, locations.c.name, locations.c.address, locations.c.city), "box": _box,
    },
    id=locations.c.id,
    rare=frozenset({"text"}),
)  # fmt: skip

STATION = (
    sa.select(
        stations.c.id.label("number"), stations.c.operator_id, stations.c.identity.label("id"), _OPERATOR,
        locations.c.code.label("location"), stations.c.admission, stations.c.registration, stations.c.strict,
        stations.c.security_profile, stations.c.version, stations.c.vendor, stations.c.model, stations.c.serial,
        stations.c.firmware, stations.c.current, stations.c.max_power_w, stations.c.connected_at, stations.c.last_seen_at, stations.c.booted_at,
        stations.c.created_at, stations.c.password_hash.is_not(None).label("has_password"),
    )
    .join_from(stations, operators, stations.c.operator_id == operators.c.id)
    .join(locations, stations.c.location_id == locations.c.id, isouter=True)
)  # fmt: skip
STATIONS = Listing(
    STATION,
    {
        "created_at": (stations.c.created_at, stations.c.id),
        "id": (stations.c.identity, stations.c.operator_id),
    },
    "created_at",
    stations.c.operator_id,
    {
        "online": lambda online: stations.c.connected_at.is_not(None) if online else stations.c.connected_at.is_(None),
        "location": lambda code: stations.c.location_id.in_(sa.select(locations.c.id).where(locations.c.code == code)),
        "status": lambda status: sa.exists().where(
            connectors.c.station_id == stations.c.id, connectors.c.status == status, connectors.c.connector_id != 0
        ),
        "version": _is(stations.c.version), "vendor": _is(stations.c.vendor), "model": _is(stations.c.model),
        "firmware": _is(stations.c.firmware), "admission": _unusual(stations.c.admission, "accepted"),
        "text": _searched(
            stations.c.identity, stations.c.vendor, stations.c.model, stations.c.serial, stations.c.firmware
        ),
    },
    id=stations.c.id,
    rare=frozenset({"status", "version", "vendor", "model", "firmware", "admission", "text"}),
)  # fmt: skip

SESSION = (
    sa.select(
        sessions.c.id, _OPERATOR, _STATION_ID, sessions.c.station_id.label("station_number"), sessions.c.operator_id,
        sessions.c.transaction_id.label("station_transaction_id"), sessions.c.version, sessions.c.token,
        sessions.c.token_type, sessions.c.group, sessions.c.authorization, sessions.c.evse_id, sessions.c.connector_id,
        sessions.c.started_at, sessions.c.received_at, sessions.c.ended_at, sessions.c.stop_reason, sessions.c.phase,
        sessions.c.energy_wh, sessions.c.meter_start_wh, sessions.c.meter_stop_wh, sessions.c.power_w, sessions.c.soc,
        sessions.c.flags,
    )
    .join_from(sessions, stations, sessions.c.station_id == stations.c.id)
    .join(operators, sessions.c.operator_id == operators.c.id)
)  # fmt: skip
SESSIONS = Listing(
    SESSION,
    {"started_at": (sessions.c.started_at, sessions.c.id), "id": (sessions.c.id,)},
    "-started_at",
    sessions.c.operator_id,
    {
        "station": _of_station(sessions.c.station_id),
        # Letters are folded by the engine on both sides: SQLite knows those of ASCII only.
        "token": lambda value: sa.and_(
            sessions.c.token.is_not(None), sa.func.lower(sessions.c.token) == sa.func.lower(value)
        ),
        "active": _null(sessions.c.ended_at),
        "flag": lambda flag: sa.and_(  # Few have any: those have an index of their own.
            sessions.c.flags != sa.literal_column("'[]'"), sessions.c.flags.contains(f'"{flag}"', autoescape=True)
        ),
        "started_from": _from(sessions.c.started_at), "started_until": _until(sessions.c.started_at),
    },
    _decoded("flags"),
    sessions.c.id,
    frozenset({"token", "flag"}),
)  # fmt: skip

SAMPLES = Listing(
    sa.select(samples), {"sampled_at": (samples.c.sampled_at, samples.c.id)}, "sampled_at", None,
    {"session": _is(samples.c.session_id)}, _decoded("readings"),
)  # fmt: skip

TOKENS = Listing(
    sa.select(tokens, _OPERATOR).join_from(tokens, operators),
    {"value": (tokens.c.folded, tokens.c.operator_id)},
    "value",
    tokens.c.operator_id,
    {
        "group": _is(tokens.c.group), "status": _is(tokens.c.status), "type": _is(tokens.c.type),
        "text": _searched(tokens.c.value, tokens.c.group),
    },
)  # fmt: skip

_groups = (
    sa.select(tokens.c.operator_id, tokens.c.group.label("name"), sa.func.count().label("tokens"))
    .where(tokens.c.group.is_not(None))
    .group_by(tokens.c.operator_id, tokens.c.group)
    .subquery()
)
GROUPS = Listing(
    sa.select(_groups, _OPERATOR).join_from(_groups, operators, _groups.c.operator_id == operators.c.id),
    {"name": (_groups.c.name, _groups.c.operator_id)}, "name", _groups.c.operator_id, {"name": _is(_groups.c.name)},
)  # fmt: skip

RESERVATIONS = Listing(
    _asked(reservations),
    {"id": (reservations.c.id,), "expires_at": (reservations.c.expires_at, reservations.c.id)},
    "-id",
    stations.c.operator_id,
    {
        "station": _of_station(reservations.c.station_id), "status": _reservation_is,
        "token": lambda value: sa.func.lower(reservations.c.token) == sa.func.lower(value),
    },
)  # fmt: skip
_held = charging_profiles.c
_said = (
    sa.select(reported.c.reported_at)
    .where(
        reported.c.station_id == _held.station_id, reported.c.kind == "charging_profile",
        reported.c.key == sa.cast(_held.evse_id, sa.Text).concat("/").concat(sa.cast(_held.profile_id, sa.Text)),
    )
    .scalar_subquery()
)  # fmt: skip
PROFILES = Listing(  # `confirmed_at`: when it was installed, or the station last said that it holds it.
    _asked(
        charging_profiles,
        stations.c.booted_at,
        sa.case((_said > _held.installed_at, _said), else_=_held.installed_at).label("confirmed_at"),
    ),
    {"station": (charging_profiles.c.station_id, charging_profiles.c.profile_id)},
    "station",
    stations.c.operator_id,
    {"station": _of_station(charging_profiles.c.station_id), "purpose": _is(charging_profiles.c.purpose)},
    _decoded("profile"),
    along=stations.c.id,
)
LOCAL_LISTS = Listing(
    _asked(local_lists), {"station": (local_lists.c.station_id,)}, "station", stations.c.operator_id,
    {"station": _of_station(local_lists.c.station_id)}, _decoded("entries"), along=stations.c.id,
)  # fmt: skip

REPORTED = Listing(  # What a station said of itself and still holds.
    sa.select(reported).where(reported.c.data != "null"), {"key": (reported.c.kind, reported.c.key)}, "key", None,
    {"station": _is(reported.c.station_id), "kinds": lambda kinds: reported.c.kind.in_(kinds)}, _decoded("data"),
)  # fmt: skip
STATION_LOG = Listing(
    sa.select(station_log), {"at": (station_log.c.at, station_log.c.id)}, "-at", None,
    {"station": _is(station_log.c.station_id), "kind": _is(station_log.c.kind)}, _decoded("data"),
)  # fmt: skip

_changed = status_history.c
STATUS_HISTORY = Listing(
    sa.select(status_history), {"received_at": (_changed.received_at, _changed.id)}, "-received_at", None,
    {
        "station": _is(_changed.station_id), "evse": _is(_changed.evse_id), "connector": _is(_changed.connector_id),
        "status": _is(_changed.status), "since": _from(_changed.received_at), "until": _until(_changed.received_at),
    },
)  # fmt: skip

COMMAND = (
    sa.select(commands, _OPERATOR, stations.c.identity.label("station"))
    .join_from(commands, stations, commands.c.station_id == stations.c.id)
    .join(operators, commands.c.operator_id == operators.c.id)
)
COMMANDS = Listing(
    COMMAND,
    {"created_at": (commands.c.created_at, commands.c.id)},
    "-created_at",
    commands.c.operator_id,
    {
        "station": _of_station(commands.c.station_id), "action": _is(commands.c.action),
        "status": _unusual(commands.c.status, "answered"),
    },
    id=commands.c.id,
)  # fmt: skip

TARIFFS = Listing(
    sa.select(tariffs, _OPERATOR).join_from(tariffs, operators),
    {"valid_from": (tariffs.c.valid_from, tariffs.c.id)}, "-valid_from", tariffs.c.operator_id,
)  # fmt: skip

_CERTIFICATE = ("id", "kind", "serial", "status", "issued_at", "expires_at", "settled_at")  # Without the long chains.
CERTIFICATES = Listing(
    sa.select(*(certificates.c[name] for name in _CERTIFICATE), _OPERATOR, _STATION_ID)
    .join_from(certificates, stations, certificates.c.station_id == stations.c.id)
    .join(operators, stations.c.operator_id == operators.c.id),
    {"id": (certificates.c.id,), "expires_at": (certificates.c.expires_at, certificates.c.id)},
    "-id",
    stations.c.operator_id,
    {
        "station": _of_station(certificates.c.station_id), "status": _is(certificates.c.status),
        "kind": _is(certificates.c.kind),
    },
)  # fmt: skip

USERS = Listing(
    sa.select(*(column for column in users.c if column.name != "password_hash"), _OPERATOR).join_from(
        users, operators, isouter=True
    ),
    {"id": (users.c.id,), "name": (users.c.name, users.c.id)}, "name", users.c.operator_id,
    {"role": _is(users.c.role)},
)  # fmt: skip
KEYS = Listing(
    sa.select(*(column for column in api_keys.c if column.name != "key_hash"), _OPERATOR).join_from(
        api_keys, operators, isouter=True
    ),
    {"id": (api_keys.c.id,), "name": (api_keys.c.name, api_keys.c.id)}, "id", api_keys.c.operator_id,
    {"role": _is(api_keys.c.role)},
)  # fmt: skip
AUDIT = Listing(
    sa.select(audit), {"id": (audit.c.id,)}, "-id", None,
    {
        "concerning": _is(audit.c.operator), "actor": _is(audit.c.actor), "action": _is(audit.c.action),
        "object": _is(audit.c.object), "outcome": _is(audit.c.outcome),
        "since": _from(audit.c.at), "until": _until(audit.c.at),
    },
    _decoded("detail"),
)  # fmt: skip

ALL: dict[str, Listing] = {
    name.lower(): listing for name, listing in list(globals().items()) if isinstance(listing, Listing)
}
