"""Writers on PostgreSQL: how far each has come, so that a lost answer to a COMMIT is found again (`storage.fate`)."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute(
        "CREATE TABLE writers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, commits bigint NOT NULL, "
        "marked_at bigint NOT NULL) WITH (fillfactor = 50)"  # Room for the next versions of a row on its own page.
    )
