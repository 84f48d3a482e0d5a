"""Alembic's entry: migrates on the connection that `RuntimeDb.upgrade` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from prometheus.stores.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
