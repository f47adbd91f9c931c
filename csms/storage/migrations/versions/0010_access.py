"""Locations, users and their logins, the audit log; an index for each order that listings have."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _locations()
    _accounts()
    _audit()
    _orders()


def _locations() -> None:
    op.add_column("operators", sa.Column("display_name", sa.Text(), nullable=True))
    op.create_table(
        "locations",
        sa.Column("id", Id, nullable=False),
        sa.Column("operator_id", Id, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("city", sa.Text()),
        sa.Column("postal_code", sa.Text()),
        sa.Column("country", sa.String(length=2)),
        sa.Column("latitude", sa.Float()),
        sa.Column("longitude", sa.Float()),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("service_area", sa.String(length=64)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["operator_id"], ["operators.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("operator_id", "code", name=op.f("uq_locations_operator_id_code")),
    )
    _index("locations", "code", "operator_id")
    _index("locations", "name", "id")
    _index("locations", "operator_id", "name", "id")
    _index("locations", "latitude", "longitude")
    number = "INTEGER" if _sqlite() else "BIGINT"
    # Alembic would copy the table for this on SQLite; both engines understand it as it stands.
    op.execute(f"ALTER TABLE stations ADD COLUMN location_id {number} REFERENCES locations (id)")
    op.execute("CREATE INDEX ix_stations_location_id ON stations (location_id) WHERE location_id IS NOT NULL")


def _accounts() -> None:
    _names_of_keys_are_an_operators_own()
    op.execute("CREATE UNIQUE INDEX uq_api_keys_name ON api_keys (coalesce(operator_id, 0), name)")
    op.create_table(
        "users",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("operator_id", Id),
        sa.Column("disabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["operator_id"], ["operators.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("CREATE UNIQUE INDEX uq_users_name ON users (coalesce(operator_id, 0), name)")
    op.create_table(
        "logins",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash", name=op.f("uq_logins_token_hash")),
    )
    _index("logins", "user_id", "expires_at")


def _names_of_keys_are_an_operators_own() -> None:
    if not _sqlite():
        op.drop_constraint("uq_api_keys_name", "api_keys")
        return
    # SQLite drops no constraint but with its table.
    op.create_table(
        "api_keys_after",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("operator_id", Id),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["operator_id"], ["operators.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    columns = "id, name, role, key_hash, operator_id, created_at, expires_at"
    op.execute(f"INSERT INTO api_keys_after ({columns}) SELECT {columns} FROM api_keys")
    op.drop_table("api_keys")
    op.rename_table("api_keys_after", "api_keys")


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", Id, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("operator", sa.Text()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    _index("audit", "operator", "id")
    if _sqlite():
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END"
            )
        return
    op.execute(
        """CREATE FUNCTION csms_only_appended_to() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is only appended to'
        USING ERRCODE = 'integrity_constraint_violation'; END $$"""
    )
    op.execute(
        """CREATE TRIGGER audit_only_appended_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION csms_only_appended_to()"""
    )


def _orders() -> None:
    _index("stations", "identity", "operator_id")
    _index("stations", "created_at", "id")
    _index("stations", "operator_id", "created_at", "id")
    op.drop_index("ix_sessions_started_at", "sessions")
    _index("sessions", "started_at", "id")
    _index("sessions", "operator_id", "started_at", "id")
    op.execute("CREATE INDEX ix_sessions_token ON sessions (lower(token), started_at, id) WHERE token IS NOT NULL")
    _index("commands", "created_at", "id")
    _index("commands", "operator_id", "created_at", "id")
    _index("tokens", "folded", "operator_id")
    op.execute('CREATE INDEX ix_tokens_group ON tokens (operator_id, "group") WHERE "group" IS NOT NULL')
    _index("reservations", "expires_at", "id")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
