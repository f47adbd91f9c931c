"""Places that exist, where locations are, and what a station is built for."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "places",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=False),
        sa.Column("longitude", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.add_column("locations", sa.Column("place", sa.String(length=64), nullable=True))
    op.add_column("stations", sa.Column("current", sa.String(length=2), nullable=True))
    op.add_column("stations", sa.Column("max_power_w", sa.BigInteger(), nullable=True))
    op.add_column("stations", sa.Column("outlets", sa.Integer(), nullable=True))
