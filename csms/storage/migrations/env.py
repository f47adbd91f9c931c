"""Runs Alembic migrations on the connection that `csms.storage.database.migrate` hands in."""

from alembic import context

from csms.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True,
    transactional_ddl=True,
)  # fmt: skip
with context.begin_transaction():
    context.run_migrations()
