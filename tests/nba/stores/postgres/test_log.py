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
