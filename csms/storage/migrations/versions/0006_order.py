"""Events in the order of their commit, on PostgreSQL too.

A sequence gives its numbers before the commit: of two nodes the one with the lower number might commit later, and who
reads on from a position would never see it. So whoever stores events does it in turn, from there to its commit.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

_LOCK = 7_203_515


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute(
        f"""CREATE FUNCTION csms_events_in_turn() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock({_LOCK}); RETURN NULL; END $$"""
    )
    op.execute(
        """CREATE TRIGGER events_in_turn BEFORE INSERT ON outbox
        FOR EACH STATEMENT EXECUTE FUNCTION csms_events_in_turn()"""
    )
