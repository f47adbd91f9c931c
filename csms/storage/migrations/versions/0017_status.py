"""The history of statuses: partitions by day on PostgreSQL; on SQLite what is new, and what was filed by station."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_BY_STATION = ["station_id", "received_at", "id"]


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        _table("status_changes", keyed=False, postgresql_partition_by="RANGE (received_at)")
        op.execute("CREATE SEQUENCE status_changes_id_seq OWNED BY status_changes.id")
        op.execute("ALTER TABLE status_changes ALTER id SET DEFAULT nextval('status_changes_id_seq')")
        op.execute("CREATE TABLE status_changes_default PARTITION OF status_changes DEFAULT")
        op.create_index("ix_status_changes_station", "status_changes", _BY_STATION)
        op.execute("CREATE VIEW status_history AS SELECT * FROM status_changes")
        return
    _table("status_changes", sqlite_autoincrement=True)
    _table("status_archive")
    op.create_index("ix_status_archive_station", "status_archive", _BY_STATION)
    op.execute("CREATE VIEW status_history AS SELECT * FROM status_archive UNION ALL SELECT * FROM status_changes")


def _table(name: str, keyed: bool = True, **options: object) -> None:
    """`keyed`: with a primary key, which a table in partitions can have only with the column it is parted by."""
    op.create_table(
        name,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=keyed, nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=False),
        sa.Column("evse_id", sa.BigInteger()),
        sa.Column("connector_id", sa.BigInteger()),
        sa.Column("status", sa.String(16), nullable=False),
        *(sa.Column(each, sa.Text()) for each in ("detail", "error_code", "error_info", "vendor_error_code")),
        sa.Column("reported_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        **options,
    )
