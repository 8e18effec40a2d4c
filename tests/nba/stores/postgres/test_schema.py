"""The version of the log's tables: refused, upgraded, taken back."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from msgspec.structs import replace

from nba.errors import UnknownSchema
from nba.stores.log import Snapshot
from nba.stores.postgres import schema
from nba.stores.postgres.log import PostgresLog
from tests.fixtures.postgres_log import NOON, _here, event, waiting


def version(url: str, revision: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE nba_version SET version_num = %s", (revision,))


# The tables' version


def test_a_database_without_tables_is_refused_with_the_remedy(empty_postgres_url: str) -> None:
    with pytest.raises(UnknownSchema, match=r"has no tables of nba; make them: `nba migrate`"):
        PostgresLog.open(empty_postgres_url)


def test_tables_of_an_older_revision_are_refused_with_the_remedy(postgres_url: str) -> None:
    schema.revert(postgres_url, "0001")
    with pytest.raises(
        UnknownSchema, match=r"revision '0001', this program needs '0003': .* `nba migrate`"
    ):
        PostgresLog.open(postgres_url)


def test_tables_of_an_unknown_revision_are_refused_and_left_alone(postgres_url: str) -> None:
    version(postgres_url, "0999")
    for refused in (PostgresLog.open, schema.migrate, schema.revert):
        with pytest.raises(UnknownSchema, match=r"'0999'.*up to '0003'\): install the newer nba"):
            refused(postgres_url)
    assert schema.current(postgres_url) == "0999"


def test_migrations_go_up_and_down_and_up(empty_postgres_url: str) -> None:
    url = empty_postgres_url
    assert schema.current(url) is None
    schema.migrate(url)
    schema.migrate(url)
    assert schema.current(url) == schema.HEAD
    schema.revert(url)
    assert schema.current(url) is None
    with psycopg.connect(url) as connection:
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert {name for (name,) in left} <= {"nba_version", "nba_version_pkc"}
    schema.migrate(url)
    log = PostgresLog.open(url)
    assert log.append_events([event("1")]) != [None]
    log.close()


def test_what_tables_of_the_first_revision_hold_is_there_after_the_upgrade(
    postgres_url: str,
) -> None:
    schema.revert(postgres_url, "0001")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO bundles (bundle_id) VALUES ('b')")
        connection.execute("INSERT INTO aliases VALUES ('champion', 'b', %s)", (NOON,))
        connection.execute("INSERT INTO snapshots VALUES ('ada', 'k', 1, 's')")
        connection.execute(
            "INSERT INTO events (event_id, customer_id, name, occurred_at, received_at, properties)"
            " VALUES ('1', 'ada', 'Seen', %s, %s, '{}')",
            (NOON, NOON),
        )
    schema.migrate(postgres_url)
    log = PostgresLog.open(postgres_url)
    assert log.page_events() == [replace(event("1"), seq=1)]
    assert log.snapshots(["ada"], "k") == {
        "ada": Snapshot(customer_id="ada", kernel="k", seq=1, state=b"s")
    }
    log.set_alias("champion", "b", NOON, by="ada")
    assert [
        (alias_change.before, alias_change.after, alias_change.at, alias_change.by)
        for alias_change in log.alias_changes("champion")
    ] == [
        ("b", "b", NOON, "ada"),
        (None, "b", NOON, ""),
    ]
    assert log.deliveries("waiting") == log.fire_timers(NOON) == []
    assert log.append_events([event("2")]) == [2]
    log.close()


def test_going_back_to_the_first_revision_keeps_the_log(postgres_url: str) -> None:
    log = PostgresLog.open(postgres_url)
    log.append_events([event("1")])
    log.close()
    schema.revert(postgres_url, "0001")
    assert schema.current(postgres_url) == "0001"
    schema.migrate(postgres_url)
    log = PostgresLog.open(postgres_url)
    assert len(log.page_events()) == 1
    log.close()


def test_processes_that_migrate_at_once_take_turns(empty_postgres_url: str) -> None:
    program = "import sys; from nba.stores.postgres import schema; schema.migrate(sys.argv[1])"
    words = [sys.executable, "-W", "error", "-c", program, empty_postgres_url]
    with psycopg.connect(empty_postgres_url) as gate:
        gate.execute("SELECT pg_advisory_lock(%s)", (0x6E626101,))  # the migrations' own
        with subprocess.Popen(words, env=_here()) as other, ThreadPoolExecutor(1) as pool:
            mine = pool.submit(schema.migrate, empty_postgres_url)
            while waiting(gate) < 2:
                time.sleep(0.02)
            gate.execute("SELECT pg_advisory_unlock(%s)", (0x6E626101,))
            mine.result()
    assert other.returncode == 0
    assert schema.current(empty_postgres_url) == schema.HEAD


def test_every_revision_is_listed_oldest_first() -> None:
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert [walk_revision.revision for walk_revision in scripts.walk_revisions()] == list(
        reversed(schema.REVISIONS)
    )


def test_tables_that_vanish_later_are_an_unknown_schema(
    log: PostgresLog, postgres_url: str
) -> None:
    schema.revert(postgres_url)
    with pytest.raises(UnknownSchema, match=r'"events" does not exist: run `nba migrate`'):
        log.position()
