"""Several nodes on PostgreSQL: who lives, who holds which station, and whose errand each command is.

What a single process with SQLite never needs is not in its database. `holdings.epoch` grows with each change of hands:
what a former holder still wants to write is refused by it.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute(
        "CREATE TABLE nodes (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, "
        "alive_until bigint NOT NULL, lost_at bigint) WITH (fillfactor = 50)"
    )
    op.execute(
        "CREATE TABLE holdings (station_id bigint PRIMARY KEY REFERENCES stations (id) ON DELETE CASCADE, node integer, "
        "epoch bigint NOT NULL, taken_from integer, changed_at bigint NOT NULL)"
    )
    op.execute("CREATE INDEX ix_holdings_node ON holdings (node)")
    op.execute("CREATE INDEX ix_holdings_changed_at ON holdings (changed_at)")
    op.execute(
        "CREATE TABLE errands (command_id bigint PRIMARY KEY REFERENCES commands (id) ON DELETE CASCADE, "
        "node integer NOT NULL, revoked boolean NOT NULL DEFAULT false)"
    )
    # What an operator changes of a station is news for the node that holds it, whoever wrote it.
    op.execute(
        f"""CREATE FUNCTION csms_station_changed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN UPDATE holdings SET changed_at = {_NOW} WHERE station_id = NEW.id; RETURN NULL; END $$"""
    )
    op.execute(
        """CREATE TRIGGER station_changed AFTER UPDATE OF admission, strict ON stations FOR EACH ROW
        WHEN (OLD.admission IS DISTINCT FROM NEW.admission OR OLD.strict IS DISTINCT FROM NEW.strict)
        EXECUTE FUNCTION csms_station_changed()"""
    )
    op.execute("UPDATE stations SET connected_at = NULL WHERE connected_at IS NOT NULL")  # No node runs now.
