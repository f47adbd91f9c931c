"""Storage at size: readings in partitions by day (PostgreSQL), and an index for each way a listing is asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_DAY = 86_400_000_000  # µs

_RUNNING = sa.text("ended_at IS NULL")
_FLAGGED = sa.text("flags <> '[]'")
_PENDING = sa.text("status = 'pending'")


def _index(name: str, table: str, columns: list[str], where: sa.TextClause | None = None) -> None:
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        _partition()
    _index("ix_sessions_station", "sessions", ["station_id", "started_at", "id"])
    _index("ix_sessions_running", "sessions", ["started_at", "id"], _RUNNING)
    _index("ix_sessions_running_operator", "sessions", ["operator_id", "started_at", "id"], _RUNNING)
    _index("ix_sessions_flagged", "sessions", ["started_at", "id"], _FLAGGED)
    _index("ix_sessions_flagged_operator", "sessions", ["operator_id", "started_at", "id"], _FLAGGED)
    _index("ix_stations_vendor", "stations", ["vendor", "created_at", "id"])
    _index("ix_stations_model", "stations", ["model", "created_at", "id"])
    _index("ix_stations_firmware", "stations", ["firmware", "created_at", "id"])
    _index("ix_commands_action", "commands", ["action", "created_at", "id"])
    _index("ix_commands_pending", "commands", ["created_at", "id"], _PENDING)


def _partition() -> None:
    """What is there becomes the first partition, until the end of the day after tomorrow at the earliest."""
    latest = op.get_bind().execute(
        sa.text(
            "SELECT greatest(coalesce((SELECT max(received_at) FROM samples), 0), "
            "(extract(epoch FROM now()) * 1000000)::bigint)"
        )
    )
    until = (latest.scalar_one() // _DAY + 2) * _DAY
    for command in (
        "ALTER TABLE samples RENAME TO samples_before",
        "ALTER TABLE samples_before DROP CONSTRAINT samples_pkey",
        "ALTER INDEX ix_samples_session RENAME TO ix_samples_before_session",
        "CREATE TABLE samples (LIKE samples_before INCLUDING DEFAULTS) PARTITION BY RANGE (received_at)",
        "ALTER SEQUENCE samples_id_seq OWNED BY samples.id",
        "CREATE INDEX ix_samples_session ON samples (session_id, sampled_at) WHERE session_id IS NOT NULL",
        "CREATE INDEX ix_samples_received ON samples USING brin (received_at) WITH (autosummarize = on)",
        f"ALTER TABLE samples ATTACH PARTITION samples_before FOR VALUES FROM (MINVALUE) TO ({until})",
        "CREATE TABLE samples_default PARTITION OF samples DEFAULT",
    ):
        op.execute(command)
