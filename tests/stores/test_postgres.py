"""What `PostgresLog` promises beyond the contract: its tables' version, outages, durability."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from nba.errors import InvalidInput, NbaError, StoreUnavailable, UnknownSchema
from nba.events import Event
from nba.stores import embedded, schema
from nba.stores.postgres import PostgresLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(event_id: str) -> Event:
    return Event(
        event_id=event_id, customer_id="ada", name="Seen", occurred_at=NOON, received_at=NOON
    )


@pytest.fixture
def log(postgres_url: str) -> Iterator[PostgresLog]:
    opened = PostgresLog.open(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def folder(data_folder: Path) -> Path:
    """A data folder with a server that a test may stop."""
    schema.migrate(embedded.start(data_folder))
    return data_folder


def version(url: str, revision: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE nba_version SET version_num = %s", (revision,))


def waiting(connection: psycopg.Connection) -> int:
    """How many sessions of this database wait for an advisory lock."""
    row = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    assert row is not None
    return int(row[0])


# The tables' version


def test_a_database_without_tables_is_refused_with_the_remedy(empty_postgres_url: str) -> None:
    with pytest.raises(UnknownSchema, match=r"has no tables of nba; make them: `nba migrate`"):
        PostgresLog.open(empty_postgres_url)


def test_tables_of_an_older_revision_are_refused_with_the_remedy(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "REVISIONS", ("0001", "0002"))
    monkeypatch.setattr(schema, "HEAD", "0002")
    with pytest.raises(
        UnknownSchema, match=r"revision '0001', this program needs '0002': .* `nba migrate`"
    ):
        PostgresLog.open(postgres_url)


def test_tables_of_an_unknown_revision_are_refused_and_left_alone(postgres_url: str) -> None:
    version(postgres_url, "0999")
    for refused in (PostgresLog.open, schema.migrate, schema.revert):
        with pytest.raises(UnknownSchema, match=r"'0999'.*up to '0001'\): install the newer nba"):
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


def test_processes_that_migrate_at_once_take_turns(empty_postgres_url: str) -> None:
    program = "import sys; from nba.stores import schema; schema.migrate(sys.argv[1])"
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
    assert [one.revision for one in scripts.walk_revisions()] == list(reversed(schema.REVISIONS))


def test_tables_that_vanish_later_are_an_unknown_schema(
    log: PostgresLog, postgres_url: str
) -> None:
    schema.revert(postgres_url)
    with pytest.raises(UnknownSchema, match=r'"events" does not exist: run `nba migrate`'):
        log.position()


# Outages


def test_a_server_that_is_gone_is_unavailable_and_its_return_is_noticed(folder: Path) -> None:
    log = PostgresLog.open(embedded.start(folder))
    log.append_events([event("1")])
    embedded.stop(folder)
    calls: list[Callable[[], object]] = [
        lambda: log.append_events([event("2")]),
        lambda: log.events_since({"ada": 0}),
        log.position,
        lambda: log.set_alias("a", "b", NOON),
        lambda: PostgresLog.open("host=/nowhere dbname=x"),
        lambda: schema.current("host=/nowhere dbname=x"),
        lambda: schema.migrate("host=/nowhere dbname=x"),
    ]
    for call in calls:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="check that it runs and NBA_DATABASE_URL"):
            call()
        assert time.monotonic() - began < 1.0
    embedded.start(folder)
    assert log.append_events([event("2"), event("1")])[1] is None
    log.close()


def test_a_connection_that_the_server_ends_is_replaced(log: PostgresLog, postgres_url: str) -> None:
    log.append_events([event("1")])
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert log.append_events([event("2")]) != [None]


def test_a_failed_call_leaves_nothing_behind(log: PostgresLog) -> None:
    with pytest.raises(psycopg.DataError):
        log.append_events([event("1"), event("nul\x00")])
    assert log.page_events() == []
    assert log.append_events([event("1")]) != [None]


def test_a_writer_that_hangs_makes_the_log_unavailable_not_stuck(
    log: PostgresLog, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url) as hanging:
        hanging.execute("SELECT pg_advisory_xact_lock(7233121)")
        with log._connections.connection() as connection:
            connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            log.append_events([event("1")])
        assert log.position() == 0
    assert log.append_events([event("1")]) != [None]


def test_more_threads_than_connections_wait_their_turn(postgres_url: str) -> None:
    log = PostgresLog.open(postgres_url, pool_size=2)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: log.append_events([event(str(number))]), range(64)))
    assert len(log.page_events()) == 64
    log.close()


def test_a_closed_log_says_so(log: PostgresLog) -> None:
    log.close()
    with pytest.raises(StoreUnavailable, match="this log is closed; open it again"):
        log.position()


def test_no_error_shows_the_password() -> None:
    urls = [
        "postgresql://ada:s3cret@localhost:1/x",
        "host=/nowhere password=s3cret dbname=x",
        "postgresql://ada:s3cret@host:port/x",
        "host=x password='s3cret",
    ]
    for url in urls:
        with pytest.raises(NbaError) as caught:
            PostgresLog.open(url)
        assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value, InvalidInput)


# Durability and order


WRITER = """
import sys
from datetime import UTC, datetime
from itertools import count
from nba.events import Event
from nba.stores.postgres import PostgresLog

log = PostgresLog.open(sys.argv[1])
now = datetime(2026, 3, 1, tzinfo=UTC)
for call in count():
    ids = [f"{sys.argv[2]}.{call}.{part}" for part in range(3)]
    log.append_events(
        [Event(event_id=one, customer_id=one[:1], name="n", occurred_at=now, received_at=now)
         for one in ids])
    print(*ids, flush=True)
"""


def test_a_killed_writer_loses_nothing_acknowledged_and_stores_calls_whole(
    log: PostgresLog, postgres_url: str
) -> None:
    acknowledged: set[str] = set()
    for round_ in range(2):
        words = [sys.executable, "-c", WRITER, postgres_url]
        writers = [
            subprocess.Popen(
                [*words, f"{round_}{name}"], stdout=subprocess.PIPE, text=True, env=_here()
            )
            for name in "ab"
        ]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged.update(writer.stdout.readline().split())  # both are at work
        time.sleep(0.3 * round_)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            lines = writer.communicate()[0].splitlines(keepends=True)
            acknowledged.update(word for line in lines if line[-1] == "\n" for word in line.split())
    # A killed writer's last commit may still be under way on the server.
    assert log.append_events([event("after")]) != [None]
    stored = [one.event_id for one in log.page_events(limit=10**6) if one.event_id != "after"]
    assert len(acknowledged) > 12
    assert acknowledged <= set(stored)
    assert len(stored) == len(set(stored))
    assert len(stored) % 3 == 0
    calls = {one.rpartition(".")[0] for one in stored}
    assert len(calls) * 3 == len(stored)


def test_commits_wait_for_the_disk_even_where_the_server_would_not(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    log = PostgresLog.open(postgres_url)
    assert log._rows("SHOW synchronous_commit") == [("on",)]
    log.close()


def test_every_lookup_is_served_by_an_index(log: PostgresLog, postgres_url: str) -> None:
    from nba.stores import postgres_sql as sql

    # While a table is small, reading the whole of it looks cheap, and such a plan may be kept.
    log.append_events([event(str(number)) for number in range(5)])
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    one = '[{"event_id": "1", "customer_id": "a", "decision_id": "d", "request_id": "r"}]'
    for statement, values in [
        (sql.STANDS, (one,)),
        (sql.ANSWERED, (one,)),
        (sql.EVENTS_SINCE, ('{"ada": 5}',)),
        (sql.PAGE_EVENTS, (5, 10)),
        (sql.PAGE_DECISIONS, (5, 10)),
        (sql.OUTCOMES, ("d", "e")),
        (sql.DECISION, ("d",)),
        (sql.CUSTOMER_DECISIONS, ("ada", 5)),
        (sql.POSITION, ()),
        (sql.SNAPSHOTS, (["ada"], "k")),
    ]:
        plan = "\n".join(row[0] for row in log._rows(f"EXPLAIN {statement}", *values))
        assert "Seq Scan" not in plan, plan
        assert "Index" in plan, plan


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(schema.__file__).parents[2])}
