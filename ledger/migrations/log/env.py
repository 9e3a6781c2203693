"""Run the migrations of the log on the connection that ledger.migrate hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    transactional_ddl=False,
)
with context.begin_transaction():
    context.run_migrations()
