"""Sessions of an operator in the order of their ids."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index("ix_sessions_operator_id_id", "sessions", ["operator_id", "id"])
