"""Indexes by which few of many rows are found: rare versions and admissions; in PostgreSQL also statuses and texts."""

import sqlalchemy as sa
import structlog
from alembic import op

revision = "0016"
down_revision = "0015"

log = structlog.get_logger()

# What it costs, in units of the planner, so that it is not taken for cheaper to look through everything.
_SEARCHED = r"""
CREATE FUNCTION csms_searched(VARIADIC parts text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 300
AS $$ BEGIN RETURN lower(array_to_string(parts, E'\n')); END $$"""
_TEXTS = {
    "stations": "identity, vendor, model, serial, firmware",
    "locations": "code, name, address, city",
    "tokens": 'value, "group"',
}


def upgrade() -> None:
    rare = sa.text("admission <> 'accepted'")
    op.create_index("ix_stations_version", "stations", ["version"])
    op.create_index("ix_stations_admission", "stations", ["admission"], sqlite_where=rare, postgresql_where=rare)
    if op.get_context().dialect.name == "postgresql":
        # 3 µs more a status that changes (17 before, in the database); SQLite, for smaller networks, does without.
        op.create_index(
            "ix_connectors_status", "connectors", ["status", "station_id"],
            postgresql_where=sa.text("status <> 'available'"),
        )  # fmt: skip
        op.execute(_SEARCHED)
        if _has_trigrams():
            for table, columns in _TEXTS.items():
                # Each change goes to its place at once: pages that wait in a list would be read by each search.
                op.execute(
                    f"CREATE INDEX ix_{table}_text ON {table} "
                    f"USING gin (csms_searched({columns}) gin_trgm_ops) WITH (fastupdate = off)"
                )
                op.execute(f"ANALYZE {table}")  # Of an expression nothing is known until then.


def _has_trigrams() -> bool:
    """Whether the extension is there, or could be created: any owner of a database may, where the server has it."""
    try:
        with op.get_bind().begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except sa.exc.DBAPIError as error:
        log.warning(
            "database.no_trigrams", error=str(error.orig),
            remedy="Searches by text look through all rows. Install pg_trgm (postgresql-contrib), then as the README says («A whole country»).",
        )  # fmt: skip
        return False
    return True
