"""What `PostgresLog` promises beyond the contract: its tables' version, outages, durability."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from nba.decisions.sub_journey_moves import SubJourneyTimer
from nba.errors import InvalidInput, NbaError, StoreUnavailable
from nba.stores.log import GuardedEvents
from nba.stores.postgres import embedded, schema
from nba.stores.postgres.log import PostgresLog
from tests.fixtures.postgres_log import NOON, event


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


def test_tables_of_an_older_revision_are_refused_with_the_remedy(postgres_url: str) -> None:
    schema.revert(postgres_url, "0001")
    with pytest.raises(
        UnknownSchema, match=r"revision '0001', this program needs '0002': .* `nba migrate`"
    ):
        PostgresLog.open(postgres_url)


def test_tables_of_an_unknown_revision_are_refused_and_left_alone(postgres_url: str) -> None:
    version(postgres_url, "0999")
    for refused in (PostgresLog.open, schema.migrate, schema.revert):
        with pytest.raises(UnknownSchema, match=r"'0999'.*up to '0002'\): install the newer nba"):
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
        lambda: log.fire_timers(NOON),
        lambda: log.claim_deliveries(NOON, 1, 60),
        lambda: log.turn("conductor").__enter__(),
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


def test_timers_and_receipts_wait_for_the_turn_of_the_appends(
    log: PostgresLog, postgres_url: str
) -> None:
    timers = (SubJourneyTimer(timer_id="t", customer_id="ada", due_at=NOON),)
    log.append_guarded(
        [GuardedEvents(customer_id="ada", seen_seq=0, events=(event("1"),), timers=timers)]
    )
    with psycopg.connect(postgres_url) as hanging:
        hanging.execute("INSERT INTO deliveries VALUES ('d', 'ada', 'waiting', %s)", (NOON,))
        hanging.commit()
        hanging.execute("SELECT pg_advisory_xact_lock(7233121)")
        with log._connections.connection() as connection:
            connection.execute("SET lock_timeout = '100ms'")
        [claimed] = log.claim_deliveries(NOON, 1, 60)
        done = replace(claimed, state="delivered")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            log.fire_timers(NOON)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            log.settle_delivery(done, event("2"))
        assert log.deliveries("waiting") == [claimed]
    assert [fire_timer.event_id for fire_timer in log.fire_timers(NOON)] == ["timer:t"]
    log.settle_delivery(done, event("2"))
    assert [one.event_id for one in log.page_events()] == ["1", "timer:t", "2"]


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
from nba.events.event import Event
from nba.events.names import TIMER_FIRED
from nba.stores.postgres.log import PostgresLog

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


FIRER = """
import sys
from datetime import datetime
from nba.stores.postgres.log import PostgresLog

log = PostgresLog.open(sys.argv[1])
while True:
    print(len(log.fire_timers(datetime.fromisoformat(sys.argv[2]), 3)), flush=True)
"""


def test_timers_fire_once_though_a_replica_is_killed_again_and_again(
    log: PostgresLog, postgres_url: str
) -> None:
    names = [str(number) for number in range(1_000)]
    timers = tuple(SubJourneyTimer(timer_id=name, customer_id="ada", due_at=NOON) for name in names)
    log.append_guarded(
        [GuardedEvents(customer_id="ada", seen_seq=0, events=(event("1"),), timers=timers)]
    )
    rng, mine, theirs = np.random.default_rng(11), 0, 0
    for _ in range(4):
        words = [sys.executable, "-c", FIRER, postgres_url, NOON.isoformat()]
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=_here()) as other:
            assert other.stdout is not None
            theirs += int(other.stdout.readline())  # it is at work
            until = time.monotonic() + rng.uniform(0.0, 0.1)
            while time.monotonic() < until:
                mine += len(log.fire_timers(NOON, limit=1))
            other.kill()
    # What a killed replica held is free once the server has noticed.
    deadline = time.monotonic() + 15
    while len(log.page_events()) <= 1_000 and time.monotonic() < deadline:
        mine += len(log.fire_timers(NOON, limit=20))
    fired = [one for one in log.page_events(limit=10**6) if one.name == TIMER_FIRED]
    assert sorted(one.properties["timer_id"] for one in fired) == sorted(names)
    assert log.fire_timers(NOON) == []
    assert theirs >= 12 and mine < 1_000  # both were at it


HOLDER = """
import sys
from nba.stores.postgres.log import PostgresLog

with PostgresLog.open(sys.argv[1]).turn("conductor") as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_a_turn_is_free_once_its_holder_is_killed(log: PostgresLog, postgres_url: str) -> None:
    words = [sys.executable, "-c", HOLDER, postgres_url]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=_here()) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with log.turn("conductor") as mine:
            assert not mine
        holder.kill()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not mine:
        with log.turn("conductor") as mine:
            pass
    assert mine


def test_timers_that_another_transaction_holds_are_passed_over(
    log: PostgresLog, postgres_url: str
) -> None:
    timers = tuple(
        SubJourneyTimer(timer_id=one, customer_id="ada", due_at=NOON + timedelta(seconds=number))
        for number, one in enumerate("abc")
    )
    log.append_guarded(
        [GuardedEvents(customer_id="ada", seen_seq=0, events=(event("1"),), timers=timers)]
    )
    later = NOON + timedelta(minutes=1)
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM timers WHERE timer_id = 'a' FOR UPDATE")
        assert [fire_timer.event_id for fire_timer in log.fire_timers(later, limit=1)] == [
            "timer:b"
        ]
    assert [fire_timer.event_id for fire_timer in log.fire_timers(later)] == ["timer:a", "timer:c"]


def test_commits_wait_for_the_disk_even_where_the_server_would_not(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    log = PostgresLog.open(postgres_url)
    assert log._rows("SHOW synchronous_commit") == [("on",)]
    log.close()


def test_every_lookup_is_served_by_an_index(log: PostgresLog, postgres_url: str) -> None:
    from nba.stores.postgres import sql, work_sql

    # While a table is small, reading the whole of it looks cheap, and such a plan may be kept.
    log.append_events([event(str(number)) for number in range(5)])
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    one = '[{"event_id": "1", "customer_id": "a", "decision_id": "d", "request_id": "r"}]'
    for statement, values in [
        (sql.APPEND_STATES, (one,)),
        (sql.ANSWERED, (one,)),
        (sql.EVENTS_SINCE, ('{"ada": 5}',)),
        (sql.PAGE_EVENTS, (5, 10)),
        (sql.PAGE_DECISIONS, (5, 10)),
        (sql.OUTCOMES, ("d", "e")),
        (sql.DECISION, ("d",)),
        (sql.CUSTOMER_DECISIONS, ("ada", 5)),
        (sql.POSITION, ()),
        (sql.SNAPSHOTS, (["ada"], "k")),
        (sql.ALIAS_CHANGES, ("champion", 5)),
        (work_sql.USED, ('[{"capacity": "a", "period": "p"}]',)),
        (work_sql.HOLD_DUE_TIMERS, (NOON, 5)),
        (work_sql.DROP_TIMERS, (["t"],)),
        (work_sql.CLAIM_DELIVERIES, (NOON, 5, NOON)),
        (work_sql.HOLD_DELIVERY, ("d",)),
        (work_sql.DELIVERIES, ("dead", 5)),
        (work_sql.CURSOR, ("c",)),
    ]:
        plan = "\n".join(row[0] for row in log._rows(f"EXPLAIN {statement}", *values))
        assert "Seq Scan" not in plan, plan
        assert "Index" in plan, plan


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
