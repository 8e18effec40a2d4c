"""The orchestrator's loop: outages, faults, and one replica at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from nba.errors import StoreUnavailable
from nba.events.event import Event
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from serving.workers import orchestrator as conductor
from serving.workers.orchestrator import Orchestrator, OrchestratorPass, begin
from tests.fixtures.log_records import event
from tests.fixtures.orchestrated_party import Party, noon


@pytest.fixture
def log(log: MemoryLog) -> MemoryLog:
    """A log in which the orchestrator has begun."""
    begin(log)
    return log


def until(reached: Callable[[], bool], patience_s: float = 10.0) -> None:
    deadline = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# The loop


def test_the_loop_attends_to_what_happens_and_stops_promptly(log: MemoryLog) -> None:
    party = Party(log)
    loop = Orchestrator(log, party.advance_sub_journeys, party.deliver, noon, every_s=0.02)
    loop.start()
    log.append_events([event("1")])
    until(lambda: party.attended["ada"] == 1)
    slow = Orchestrator(log, party.advance_sub_journeys, party.deliver, noon, every_s=3600)
    slow.start()
    began = time.monotonic()
    assert loop.stop() and slow.stop()
    assert time.monotonic() - began < 1
    log.append_events([event("2")])
    time.sleep(0.1)
    assert party.attended["ada"] == 1


def test_a_conductor_that_was_never_started_stops_too(log: MemoryLog) -> None:
    party = Party(log)
    assert Orchestrator(log, party.advance_sub_journeys, party.deliver, noon).stop()


def test_the_loop_outlives_an_outage_and_says_so_once(
    log: MemoryLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = Party(log)
    outage, calls = threading.Event(), []
    fire = log.fire_timers

    def fire_timers(*args: Any) -> list[Event]:
        calls.append(args)
        if outage.is_set():
            raise StoreUnavailable("PostgreSQL is gone")
        return fire(*args)

    monkeypatch.setattr(log, "fire_timers", fire_timers)
    outage.set()
    loop = Orchestrator(log, party.advance_sub_journeys, party.deliver, noon, every_s=0.01)
    with caplog.at_level(logging.WARNING):
        loop.start()
        until(lambda: len(calls) > 5)
        log.append_events([event("1")])
        outage.clear()
        until(lambda: party.attended["ada"] == 1)
        loop.stop()
    assert caplog.text.count("the conductor waits: PostgreSQL is gone") == 1


def test_the_loop_outlives_a_fault_of_what_it_calls(
    log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def deliver(now: datetime) -> int:
        calls.append(now)
        raise ZeroDivisionError

    loop = Orchestrator(log, lambda _: None, deliver, noon, every_s=0.01)
    loop.start()
    until(lambda: len(calls) > 2)
    assert loop.stop()
    assert "the conductor stumbled, and goes on" in caplog.text


def test_one_replica_at_a_time_conducts(postgres_url: str) -> None:
    logs = [PostgresLog.open(postgres_url) for _ in range(3)]
    inside: list[int] = []
    most: list[int] = []
    party = Party(logs[0])

    def advance_sub_journeys(customers: Sequence[str]) -> None:
        inside.append(1)
        most.append(len(inside))
        party.advance_sub_journeys(customers)
        time.sleep(0.005)
        inside.pop()

    loops = [
        Orchestrator(log, advance_sub_journeys, lambda _: 0, noon, every_s=0.005) for log in logs
    ]
    for loop in loops:
        loop.start()
    names = [f"c{number}" for number in range(60)]
    for name in names:
        logs[1].append_events([event(name, name)])
    until(lambda: len(party.attended) == 60)
    assert all(loop.stop() for loop in loops)
    assert set(most) == {1}
    assert party.attended == Counter(names)  # each once: the cursor is shared
    for log in logs:
        log.close()


def test_while_another_has_the_turn_a_step_does_nothing(log: MemoryLog) -> None:
    party = Party(log)
    log.append_events([event("1")])
    mine = Orchestrator(log, party.advance_sub_journeys, party.deliver, noon)
    with log.turn(conductor.NAME):
        assert mine.step() is None
    assert mine.step() == OrchestratorPass(events=1, attended=1)
