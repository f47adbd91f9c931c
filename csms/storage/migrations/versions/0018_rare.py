"""Indexes of rare values: running sessions by id, commands without an answer, items of bulk commands; texts put in by the heap."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def upgrade() -> None:
    _index("ix_sessions_running_id", "sessions", ["id"], "ended_at IS NULL")
    _index("ix_commands_unusual", "commands", ["status", "created_at", "id"], "status <> 'answered'")
    _index("ix_bulk_items_open", "bulk_items", ["bulk_id", "station_id"], "command_id IS NULL AND problem IS NULL")
    _index("ix_bulk_items_refused", "bulk_items", ["bulk_id", "station_id"], "problem IS NOT NULL")
    if op.get_context().dialect.name == "postgresql":
        for table in ("stations", "locations", "tokens"):
            # One by one they cost an import twice as much; those that wait, 4 MB at most, are read by each search.
            op.execute(f"ALTER INDEX IF EXISTS ix_{table}_text SET (fastupdate = on)")
