"""Durability and order: writers that are killed, turns that are held."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import timedelta

import numpy as np
import psycopg

from nba.decisions.sub_journey_moves import SubJourneyTimer
from nba.events.names import TIMER_FIRED
from nba.stores.log import GuardedEvents
from nba.stores.postgres.log import PostgresLog
from tests.fixtures.postgres_log import NOON, _here, event

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
