"""Indexes for pages that were looked for in too many rows: an operator's stations by number, flagged sessions by id, statuses."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_index("ix_stations_operator_id_id", "stations", ["operator_id", "id"])
    flagged = sa.text("flags <> '[]'")
    # As wide as the one by time: a planner that takes few to match would read the smaller one for either order, and sort.
    op.create_index(
        "ix_sessions_flagged_id", "sessions", ["id", "started_at"], sqlite_where=flagged, postgresql_where=flagged
    )
    if op.get_context().dialect.name == "postgresql":
        # Of places where one can charge alone: then none of the connectors itself is looked at.
        op.drop_index("ix_connectors_status")
        op.create_index(
            "ix_connectors_status", "connectors", ["status", "station_id"],
            postgresql_where=sa.text("status <> 'available' AND connector_id <> 0::bigint"),
        )  # fmt: skip
