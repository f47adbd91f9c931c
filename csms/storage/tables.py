"""The tables, the same for SQLite and PostgreSQL.

Times are whole microseconds since 1970 UTC: cheap to write by the thousand, exact, and sorted by any engine.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    text,
)  # fmt: skip

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# SQLite numbers rows by itself only for a column of exactly this type.
Id = BigInteger().with_variant(Integer(), "sqlite")


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (moment - EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


class Instant(TypeDecorator[datetime]):
    """A UTC time, stored as microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else to_us(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        return None if value is None else from_us(value)


def _partial(name: str, *columns: Any, where: str) -> Index:
    """An index of some of the rows."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


operators = Table(
    "operators", metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("display_name", Text),
)  # fmt: skip

places = Table(  # What exists in the country, whoever is there: cities, service areas of highways.
    "places", metadata,
    Column("code", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("latitude", Float, nullable=False), Column("longitude", Float, nullable=False),  # Degrees, WGS-84.
)  # fmt: skip

locations = Table(  # Where stations stand.
    "locations", metadata,
    Column("id", Id, primary_key=True),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("code", String(64), nullable=False),  # The operator's own name for it: its id in the API.
    Column("name", Text, nullable=False),
    Column("address", Text), Column("city", Text), Column("postal_code", Text), Column("country", String(2)),
    Column("latitude", Float), Column("longitude", Float),  # Degrees, WGS-84; both or neither.
    Column("kind", String(32), nullable=False),
    Column("service_area", String(64)),  # Of a highway, where it is in one: that area's code.
    Column("place", String(64)),  # The city it is in, by its code.
    Column("created_at", Instant, nullable=False), Column("changed_at", Instant, nullable=False),
    UniqueConstraint("operator_id", "code"),
    Index(None, "code", "operator_id"),
    Index(None, "name", "id"), Index(None, "operator_id", "name", "id"),
    Index(None, "latitude", "longitude"),
)  # fmt: skip

stations = Table(
    "stations", metadata,
    Column("id", Id, primary_key=True),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("identity", String(48), nullable=False),
    Column("password_hash", LargeBinary),  # Keyed hash; null: no credentials are asked for.
    Column("password_next", LargeBinary),  # A new one that was sent, and whose answer did not come (yet).
    Column("security_profile", Integer),  # The lowest that is let in; it rises with the station's own. Null: any.
    Column("admission", String(16), nullable=False, server_default="accepted"),
    Column("registration", String(16)),
    Column("strict", Boolean, nullable=False, server_default=text("false")),
    Column("version", String(8)),  # As spoken on the latest connection; never used to speak (T70).
    Column("vendor", Text), Column("model", Text), Column("serial", Text), Column("firmware", Text),
    Column("iccid", Text), Column("imsi", Text),
    Column("next_transaction", Integer, nullable=False, server_default="1"),
    Column("connected_at", Instant),  # Null while not connected.
    Column("last_seen_at", Instant), Column("booted_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("location_id", ForeignKey("locations.id")),
    Column("current", String(2)),  # AC or DC, where it is known.
    Column("max_power_w", BigInteger),
    Column("outlets", Integer),  # That it has, as whoever added it says; null: those that it reported.
    UniqueConstraint("operator_id", "identity"),
    Index(None, "identity", "operator_id"),
    Index(None, "created_at", "id"), Index(None, "operator_id", "created_at", "id"),
    Index(None, "operator_id", "id"),
    Index("ix_stations_vendor", "vendor", "created_at", "id"), Index("ix_stations_model", "model", "created_at", "id"),
    Index("ix_stations_firmware", "firmware", "created_at", "id"), Index("ix_stations_version", "version"),
    _partial("ix_stations_admission", "admission", where="admission <> 'accepted'"),
    _partial("ix_stations_location_id", "location_id", where="location_id IS NOT NULL"),
)  # fmt: skip

connectors = Table(
    "connectors", metadata,
    Column("station_id", ForeignKey("stations.id", ondelete="CASCADE"), primary_key=True),
    Column("evse_id", BigInteger, primary_key=True),
    Column("connector_id", BigInteger, primary_key=True),
    Column("status", String(16), nullable=False),
    Column("detail", Text), Column("error_code", Text), Column("error_info", Text), Column("vendor_error_code", Text),
    Column("reported_at", Instant, nullable=False),
)  # fmt: skip


def _changes(name: str, *more: Any, **options: Any) -> Table:
    return Table(
        name, metadata,
        Column("id", Id, primary_key=True), Column("station_id", BigInteger, nullable=False),
        Column("evse_id", BigInteger), Column("connector_id", BigInteger),  # Null: of the station's connection.
        Column("status", String(16), nullable=False),
        *(Column(each, Text) for each in ("detail", "error_code", "error_info", "vendor_error_code")),
        Column("reported_at", Instant, nullable=False), Column("received_at", Instant, nullable=False),
        *more, **options,
    )  # fmt: skip


# Changes of a status, and stations that came and went. On SQLite those that are not filed yet (`storage.history`).
status_changes = _changes("status_changes", sqlite_autoincrement=True)
status_archive = _changes("status_archive", Index("ix_status_archive_station", "station_id", "received_at", "id"))

sessions = Table(
    "sessions", metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("station_id", ForeignKey("stations.id"), nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("start_key", Text, nullable=False), Column("incarnation", Integer, nullable=False, server_default="0"),
    Column("version", String(8), nullable=False),
    Column("evse_id", BigInteger), Column("connector_id", BigInteger),
    Column("token", Text), Column("token_type", Text), Column("group", Text),
    Column("authorization", String(16), nullable=False), Column("started_at", Instant, nullable=False), Column("received_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("stop_reason", Text), Column("stop_token", Text),
    Column("phase", String(16), nullable=False),
    Column("meter_start_wh", Float), Column("meter_stop_wh", Float),
    Column("energy_wh", Float, nullable=False),
    Column("power_w", Float), Column("soc", Float),
    Column("first", Text), Column("last", Text), Column("last_digest", BigInteger),
    Column("seen", Text, nullable=False, server_default="[]"),
    Column("start_seq", BigInteger), Column("end_seq", BigInteger),
    Column("remote_start_id", BigInteger), Column("reservation_id", BigInteger),
    Column("flags", Text, nullable=False, server_default="[]"),
    UniqueConstraint("station_id", "start_key", "incarnation"),
    Index(None, "station_id", "transaction_id"),
    _partial("ix_sessions_open", "station_id", where="ended_at IS NULL"),
    Index(None, "started_at", "id"), Index(None, "operator_id", "started_at", "id"),
    Index("ix_sessions_station", "station_id", "started_at", "id"), Index(None, "operator_id", "id"),
    _partial("ix_sessions_running", "started_at", "id", where="ended_at IS NULL"),
    _partial("ix_sessions_running_id", "id", where="ended_at IS NULL"),
    _partial("ix_sessions_running_operator", "operator_id", "started_at", "id", where="ended_at IS NULL"),
    _partial("ix_sessions_flagged", "started_at", "id", where="flags <> '[]'"),
    _partial("ix_sessions_flagged_id", "id", "started_at", where="flags <> '[]'"),
    _partial("ix_sessions_flagged_operator", "operator_id", "started_at", "id", where="flags <> '[]'"),
    _partial("ix_sessions_token", func.lower(text("token")), "started_at", "id", where="token IS NOT NULL"),
)  # fmt: skip

samples = Table(
    "samples", metadata,
    Column("id", Id, primary_key=True),
    Column("station_id", BigInteger, nullable=False),
    Column("session_id", BigInteger),  # Null: outside any session, or for one we do not know (T16).
    Column("evse_id", BigInteger), Column("connector_id", BigInteger),
    Column("sampled_at", Instant, nullable=False), Column("received_at", Instant, nullable=False),
    Column("register_wh", Float), Column("power_w", Float), Column("soc", Float),
    Column("readings", Text, nullable=False),  # Every sampled value as sent, JSON.
    _partial("ix_samples_session", "session_id", "sampled_at", where="session_id IS NOT NULL"),
)  # fmt: skip

unmatched = Table(
    "unmatched", metadata,
    Column("id", Id, primary_key=True),
    Column("station_id", BigInteger, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("action", Text, nullable=False), Column("reason", Text, nullable=False),
    Column("payload", Text, nullable=False),  # Raw, as sent.
)  # fmt: skip

reported = Table(  # The latest a station says of itself: its variables, limits, messages, how far an update is.
    "reported", metadata,
    Column("station_id", ForeignKey("stations.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("data", Text, nullable=False),  # JSON; null for what no longer holds.
    Column("reported_at", Instant, nullable=False),
)  # fmt: skip

station_log = Table(  # What stations notify: monitored events and security events. Only ever appended to.
    "station_log", metadata,
    Column("id", Id, primary_key=True),
    Column("station_id", BigInteger, nullable=False),
    Column("at", Instant, nullable=False), Column("received_at", Instant, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("severity", BigInteger, nullable=False),  # 0 danger … 9 debug, as in OCPP 2.x.
    Column("code", Text, nullable=False),
    Column("text", Text),
    Column("data", Text, nullable=False),  # JSON, as sent.
    Index(None, "station_id", "at"),
)  # fmt: skip

claims = Table(  # Which session a token is used in, where it may be used in one only.
    "claims", metadata,
    Column("operator_id", ForeignKey("operators.id"), primary_key=True),
    Column("folded", Text, primary_key=True),
    Column("station_id", BigInteger, nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("evse_id", BigInteger),
    Column("claimed_at", Instant, nullable=False),
)  # fmt: skip

tokens = Table(
    "tokens", metadata,
    Column("operator_id", ForeignKey("operators.id"), primary_key=True),
    Column("folded", Text, primary_key=True),  # What is compared: tokens ignore case (T30).
    Column("value", Text, nullable=False),
    Column("type", Text),
    Column("status", String(16), nullable=False),
    Column("group", Text),
    Column("expires_at", Instant),
    Column("created_at", Instant, nullable=False),
    Index(None, "folded", "operator_id"),
    _partial("ix_tokens_group", "operator_id", "group", where="\"group\" IS NOT NULL"),
)  # fmt: skip

reservations = Table(
    "reservations", metadata,
    Column("id", Id, primary_key=True),
    Column("station_id", ForeignKey("stations.id", ondelete="CASCADE"), nullable=False),
    Column("reservation_id", BigInteger, nullable=False),  # The number that the station knows.
    Column("status", String(16), nullable=False),
    Column("token", Text, nullable=False), Column("group", Text),
    Column("evse_id", BigInteger), Column("connector_id", BigInteger), Column("connector_type", Text),
    Column("expires_at", Instant, nullable=False),
    Column("session_id", BigInteger),  # That it was used by.
    Column("created_at", Instant, nullable=False), Column("changed_at", Instant, nullable=False),
    UniqueConstraint("station_id", "reservation_id"),
    Index(None, "expires_at", "id"),
)  # fmt: skip

charging_profiles = Table(  # What was installed by us and accepted.
    "charging_profiles", metadata,
    Column("station_id", ForeignKey("stations.id", ondelete="CASCADE"), primary_key=True),
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("evse_id", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("stack_level", BigInteger, nullable=False),
    Column("profile", Text, nullable=False),  # JSON, as sent.
    Column("installed_at", Instant, nullable=False),
)  # fmt: skip

local_lists = Table(  # The list that a station has, as far as it accepted what was sent.
    "local_lists", metadata,
    Column("station_id", ForeignKey("stations.id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("entries", Text, nullable=False),  # JSON: by token.
    Column("sent_at", Instant, nullable=False),
)  # fmt: skip

certificates = Table(  # What was issued to stations.
    "certificates", metadata,
    Column("id", Id, primary_key=True),
    Column("station_id", ForeignKey("stations.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),  # station, v2g
    Column("serial", Text, nullable=False, unique=True),  # Hexadecimal.
    Column("csr_digest", LargeBinary, nullable=False),  # The same request is answered with the same certificate.
    Column("chain", Text, nullable=False),  # PEM.
    Column("status", String(16), nullable=False),  # issued, installed, refused, revoked
    Column("issued_at", Instant, nullable=False), Column("expires_at", Instant, nullable=False),
    Column("settled_at", Instant),  # When the status last changed.
    Index(None, "station_id"),
    Index(None, "expires_at"),
)  # fmt: skip

tariffs = Table(  # Only ever appended to: what a session costs is settled when it begins.
    "tariffs", metadata,
    Column("id", Id, primary_key=True),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("per_kwh", BigInteger, nullable=False),  # Prices in millionths.
    Column("per_minute", BigInteger, nullable=False),
    Column("per_session", BigInteger, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("operator_id", "valid_from"),
)  # fmt: skip

api_keys = Table(
    "api_keys", metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("operator_id", ForeignKey("operators.id")),  # Null: good for all operators.
    Column("created_at", Instant, nullable=False), Column("expires_at", Instant),  # Null: never.
    Index("uq_api_keys_name", func.coalesce(text("operator_id"), 0), "name", unique=True),
)  # fmt: skip

users = Table(
    "users", metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text, nullable=False),  # argon2id, with its parameters.
    Column("operator_id", ForeignKey("operators.id")),  # Null: may see all operators.
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Instant, nullable=False),
    Index("uq_users_name", func.coalesce(text("operator_id"), 0), "name", unique=True),
)  # fmt: skip

logins = Table(  # What users identify with while they are logged in; ended ones stay for a while: where users come from.
    "logins", metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("address", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index(None, "user_id", "expires_at"),
)  # fmt: skip

audit = Table(  # Who changed what. Only ever appended to: triggers see to it. No references: it outlives what it names.
    "audit", metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False), Column("actor_kind", String(16), nullable=False),
    Column("operator", Text),  # Whose things were concerned; null: everybody's.
    Column("action", Text, nullable=False),  # Method and route.
    Column("object", Text, nullable=False),  # The path that was asked.
    Column("outcome", String(16), nullable=False),
    Column("address", Text),
    Column("detail", Text, nullable=False),  # JSON: what was sent, secrets masked; how it was refused.
    Index(None, "operator", "id"),
)  # fmt: skip

commands = Table(
    "commands", metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("station_id", ForeignKey("stations.id"), nullable=False),
    Column("action", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("response", Text), Column("error", Text),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant), Column("settled_at", Instant),
    Index(None, "station_id", "created_at"),
    Index("ix_commands_action", "action", "created_at", "id"),
    _partial("ix_commands_unusual", "status", "created_at", "id", where="status <> 'answered'"),
    _partial("ix_commands_pending", "created_at", "id", where="status = 'pending'"),
    Index(None, "created_at", "id"), Index(None, "operator_id", "created_at", "id"),
)  # fmt: skip

bulk_commands = Table(  # One question for many stations.
    "bulk_commands", metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("asked", Text, nullable=False),  # JSON: what, and at which pace.
    Column("stations", BigInteger, nullable=False),  # How many.
    Column("status", String(16), nullable=False),  # running, done or cancelled.
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False), Column("ended_at", Instant),
    Index(None, "operator_id", "id"),
)  # fmt: skip

bulk_items = Table(  # Open until a command is recorded for the station, or why there can be none.
    "bulk_items", metadata,
    Column("bulk_id", ForeignKey("bulk_commands.id", ondelete="CASCADE"), primary_key=True),
    Column("station_id", ForeignKey("stations.id", ondelete="CASCADE"), primary_key=True),
    Column("command_id", BigInteger),
    Column("problem", Text),
    _partial("ix_bulk_items_open", "bulk_id", "station_id", where="command_id IS NULL AND problem IS NULL"),
    _partial("ix_bulk_items_refused", "bulk_id", "station_id", where="problem IS NOT NULL"),
)  # fmt: skip

outbox = Table(
    "outbox", metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("operator", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("events", Text, nullable=False),  # JSON array; an event's id is "<outbox id>-<place in the array>".
    sqlite_autoincrement=True,  # An id is never used twice, even when the newest row was purged.
)  # fmt: skip

webhooks = Table(
    "webhooks", metadata,
    Column("id", Id, primary_key=True),
    Column("operator_id", ForeignKey("operators.id")),  # Null: the events of all.
    Column("url", Text, nullable=False),
    Column("description", Text),
    Column("types", Text, nullable=False), Column("stations", Text, nullable=False),  # JSON arrays; empty: all.
    Column("salt", LargeBinary, nullable=False),  # Its secret is derived from it and the system's key.
    Column("enabled", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),  # Rises with each change.
    Column("failures", Integer, nullable=False, server_default="0"),  # In a row.
    Column("error", Text),
    Column("attempted_at", Instant), Column("delivered_at", Instant), Column("next_attempt_at", Instant),
    Column("created_at", Instant, nullable=False),
    sqlite_autoincrement=True,  # A subscriber's name is never used twice.
)  # fmt: skip

subscribers = Table(
    "subscribers", metadata,
    Column("name", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),  # The last outbox id it has confirmed.
)  # fmt: skip

counters = Table(
    "counters", metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)  # fmt: skip
