"""Security profiles of stations, and passwords that are being changed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("stations", sa.Column("password_next", sa.LargeBinary(), nullable=True))
    op.add_column("stations", sa.Column("security_profile", sa.Integer(), nullable=True))
