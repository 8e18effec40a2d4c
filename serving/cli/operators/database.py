"""Commands for the database: migrate, stop."""

from __future__ import annotations

from serving.cli.terminal.session import command_settings
from serving.console import console


def migrate() -> None:
    """Bring the database's tables to this program's version; back up first.

    Example: `NBA_DATABASE_URL=postgresql://user@host/nba nba migrate`
    """
    from nba.stores.postgres import schema
    from serving.replica.assembly import database_url

    schema.migrate(database_url(command_settings()))
    console.print(f"the tables are of revision {schema.HEAD}")


def stop() -> None:
    """Stop the private PostgreSQL, where a killed service has left it running.

    Example: `nba stop`
    """
    from nba.stores.postgres import embedded

    stopped = embedded.stop(command_settings().home)
    console.print("stopped" if stopped else "nothing was running")
