"""What Alembic runs around the revisions, on the connection of `nba.stores.postgres.schema`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

# Not Alembic's own name for it: MLflow keeps an `alembic_version` and may share the database.
VERSION_TABLE = "nba_version"
_TURN = 0x6E626101  # an advisory lock of our own


def run() -> None:
    """Run the asked-for revisions, after the processes that came to migrate before us."""
    connection = context.config.attributes["connection"]
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_TURN})"))
    context.configure(connection=connection, version_table=VERSION_TABLE)
    context.run_migrations()


# Alembic loads this file under this name; whoever else imports it only reads it.
if __name__ == "env_py":
    run()
