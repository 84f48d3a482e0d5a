"""Alembic's entry: migrates on the connection that `opening.migrate` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from prometheus.ledger.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    transaction_per_migration=False,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
