"""API keys that are bound to an operator, and that expire."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    number = "INTEGER" if op.get_context().dialect.name == "sqlite" else "BIGINT"
    # Alembic would copy the table for this on SQLite; both engines understand it as it stands.
    op.execute(f"ALTER TABLE api_keys ADD COLUMN operator_id {number} REFERENCES operators (id)")
    op.add_column("api_keys", sa.Column("expires_at", sa.BigInteger(), nullable=True))
