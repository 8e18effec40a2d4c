"""The version of the log's tables: what it is, what it must be, and how to get there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from nba.errors import UnknownSchema
from nba.stores.postgres.connections import Connection, connect, database_errors

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = ("0001", "0002", "0003")  # oldest first: the files in migrations/versions
HEAD = REVISIONS[-1]


def migrate(url: str) -> None:
    """Bring the tables to `HEAD`, in one transaction; processes that migrate at once take turns.

    Raises StoreUnavailable, UnknownSchema where a newer program has made the tables.
    """
    from alembic import command

    _run(url, lambda config: command.upgrade(config, "head"))


def revert(url: str, revision: str = "base") -> None:
    """Take the tables back to `revision`, with the loss of what it does not hold ("base": all).

    Raises StoreUnavailable, UnknownSchema.
    """
    from alembic import command

    _run(url, lambda config: command.downgrade(config, revision))


def current(url: str) -> str | None:
    """The revision of the tables, None where there are none. Raises StoreUnavailable."""
    with database_errors(url), connect(url) as connection:
        return _current(connection)


def check(connection: Connection) -> None:
    """Raise UnknownSchema, with the remedy, unless the tables are of this program's revision."""
    revision = _current(connection)
    if revision is None:
        raise UnknownSchema(
            f"database {connection.info.dbname!r} has no tables of nba; make them: `nba migrate`"
        )
    if revision in REVISIONS[:-1]:
        raise UnknownSchema(
            f"the tables are of revision {revision!r}, this program needs {HEAD!r}: "
            f"back up, then run `nba migrate`"
        )
    if revision != HEAD:
        raise UnknownSchema(_newer(revision))


def _newer(revision: str) -> str:
    return (
        f"the tables are of revision {revision!r}, which this program does not know "
        f"(it knows up to {HEAD!r}): install the newer nba that made them"
    )


def _current(connection: Connection) -> str | None:
    # to_regclass looks where the tables' own names are looked up, and does not fail.
    if connection.execute("SELECT to_regclass('nba_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM nba_version").fetchone()
    return None if row is None else str(row[0])


def _run(url: str, command: Callable[[Config], None]) -> None:
    # Alembic and SQLAlchemy are slow to import, and only a migration needs them.
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy import NullPool, create_engine

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    # psycopg connects, not SQLAlchemy: every form of URL that libpq reads is read the same.
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool
    )
    with database_errors(url), connect(url):  # the plain error, where it cannot be reached
        pass
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command(config)
        except CommandError:
            revision = connection.exec_driver_sql("SELECT version_num FROM nba_version").scalar()
            raise UnknownSchema(_newer(str(revision))) from None
