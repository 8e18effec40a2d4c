"""The conductor: who is attended to, what a crash loses (nothing), and when it comes to rest."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nba.decisions.sub_journey_moves import SubJourneyTimer
from nba.errors import StoreUnavailable
from nba.events.event import Event
from nba.events.names import ACTION_DELIVERED, TIMER_FIRED
from nba.stores.log import Delivery, Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from serving.workers import orchestrator as conductor
from serving.workers.orchestrator import Orchestrator, OrchestratorPass, begin, conduct
from tests.fixtures.examples import examples
from tests.fixtures.log_records import NOON, decision, event, guarded, timer

MINUTE = timedelta(minutes=1)


class Party:
    """An idempotent `attend` and `deliver` on one log, which remember whom they saw when."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.calls: list[list[str]] = []
        self.seen: dict[str, int] = {}  # customer: seq of her last event when last attended

    @property
    def attended(self) -> Counter[str]:
        return Counter(one for call in self.calls for one in call)

    def advance_sub_journeys(self, customers: Sequence[str]) -> None:
        self.calls.append(list(customers))
        for customer in customers:
            events = self.log.events_since({customer: 0}).get(customer, [])
            self.seen[customer] = events[-1].seq if events else 0

    def deliver(self, now: datetime) -> int:
        claimed = self.log.claim_deliveries(now, 20, 60)
        for one in claimed:
            sent = Delivery(
                decision_id=one.decision_id,
                customer_id=one.customer_id,
                state="delivered",
                due_at=now,
                attempts=one.attempts,
            )
            self.log.settle_delivery(sent, delivered(one, now))
        return len(claimed)


def delivered(one: Delivery, now: datetime) -> Event:
    return Event(
        event_id=f"delivery:{one.decision_id}",
        customer_id=one.customer_id,
        name=ACTION_DELIVERED,
        occurred_at=now,
        received_at=now,
    )


@pytest.fixture
def log() -> MemoryLog:
    """A log in which the conductor has begun."""
    log = MemoryLog()
    begin(log)
    return log


def noon() -> datetime:
    return NOON


def until(reached: Callable[[], bool], patience_s: float = 10.0) -> None:
    deadline = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_idle_pass_rests(log: MemoryLog) -> None:
    party = Party(log)
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon) == OrchestratorPass()
    assert OrchestratorPass().rests
    assert party.calls == []


def test_everybody_whom_the_log_has_touched_is_attended_to_once(log: MemoryLog) -> None:
    party = Party(log)
    log.append_events([event(str(number), f"c{number % 3}") for number in range(9)])
    done = conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert done == OrchestratorPass(events=9, attended=3)
    assert party.calls == [["c0", "c1", "c2"]]
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).rests
    log.append_events([event("9", "c1")])
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon) == OrchestratorPass(
        events=1, attended=1
    )
    assert party.calls[1:] == [["c1"]]


def test_pages_and_chunks_cover_the_tail(log: MemoryLog) -> None:
    party = Party(log)
    log.append_events([event(str(number), f"c{number}") for number in range(23)])
    done = conduct(log, party.advance_sub_journeys, party.deliver, noon, page=7, chunk=3)
    assert done == OrchestratorPass(events=23, attended=23)
    assert max(len(call) for call in party.calls) == 3
    assert set(party.attended) == {f"c{number}" for number in range(23)}


def test_a_long_tail_takes_several_passes_with_deliveries_in_between(log: MemoryLog) -> None:
    party = Party(log)
    log.append_decisions([decision("out", outbound=True)])
    log.append_events([event(str(number), f"c{number}") for number in range(50)])
    first = conduct(log, party.advance_sub_journeys, party.deliver, noon, page=2)
    assert first == OrchestratorPass(events=20, attended=20, tried=1, behind=31)
    assert not first.rests
    while not conduct(log, party.advance_sub_journeys, party.deliver, noon, page=2).rests:
        pass
    assert len(party.attended) == 51


def test_a_due_timer_brings_its_customer_to_attention_in_the_same_pass(log: MemoryLog) -> None:
    log.append_guarded([guarded("1", timers=(timer("t", NOON + MINUTE),))])
    party = Party(log)
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).fired == 0
    party.calls.clear()
    done = conduct(log, party.advance_sub_journeys, party.deliver, lambda: NOON + MINUTE)
    assert done == OrchestratorPass(fired=1, events=1, attended=1)
    assert party.calls == [["ada"]]


def test_what_waits_is_delivered_and_its_event_attended_to_next(log: MemoryLog) -> None:
    party = Party(log)
    log.append_decisions([decision(outbound=True)])
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon) == OrchestratorPass(
        events=1, attended=1, tried=1
    )
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon) == OrchestratorPass(
        events=1, attended=1
    )
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).rests


def test_what_attending_appends_is_left_to_the_next_pass_and_then_it_rests(
    log: MemoryLog,
) -> None:
    calls = []

    def advance_sub_journeys(customers: Sequence[str]) -> None:
        calls.append(list(customers))
        log.append_events(
            [event(f"move of {customer}", customer) for customer in customers]
        )  # once each

    log.append_events([event("1", "ada"), event("2", "bob")])
    passes = [conduct(log, advance_sub_journeys, lambda _: 0, noon) for _ in range(3)]
    assert [one.attended for one in passes] == [2, 2, 0]
    assert passes[2].rests
    assert calls == [["ada", "bob"]] * 2


def test_attending_that_never_ends_takes_one_round_a_pass(log: MemoryLog) -> None:
    def advance_sub_journeys(customers: Sequence[str]) -> None:
        log.append_events([event(f"{log.position()}", customer) for customer in customers])

    log.append_events([event("first")])
    for _ in range(5):
        assert conduct(log, advance_sub_journeys, lambda _: 0, noon) == OrchestratorPass(
            events=1, attended=1
        )


# The first time


def test_a_first_time_begins_at_the_end_of_an_imported_log() -> None:
    log = MemoryLog()
    log.append_events([event(str(number), f"old {number}") for number in range(500)])
    begin(log)
    party = Party(log)
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).rests
    log.append_events([event("new", "ada")])
    begin(log)
    conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert party.calls == [["ada"]]


def test_a_first_time_on_an_empty_log_passes_nobody_over() -> None:
    log = MemoryLog()
    begin(log)
    log.append_events([event("1")])
    begin(log)
    party = Party(log)
    conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert party.calls == [["ada"]]


def test_it_may_be_told_to_begin_at_the_start() -> None:
    log = MemoryLog()
    log.append_events([event(str(number), f"old {number}") for number in range(5)])
    begin(log, from_start=True)
    begin(log)
    party = Party(log)
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).attended == 5


# Crashes


class Crash(BaseException):
    """The process is gone."""


class Crashing:
    """A log whose nth call from now on does not come back; `late`: but it has taken effect."""

    def __init__(self, log: Log, calls: int, late: bool) -> None:
        self._log = log
        self._left = calls
        self._late = late

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._log, name)

        def call(*args: Any, **fields: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                if self._late:
                    method(*args, **fields)
                raise Crash
            return method(*args, **fields)

        return call


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.sampled_from("abcd")),
        st.tuples(st.just("timer"), st.sampled_from("abcd")),
        st.tuples(st.just("message"), st.sampled_from("abcd")),
        st.tuples(st.sampled_from(["crash", "late crash"]), st.integers(1, 12)),
        st.tuples(st.just("pass"), st.none()),
    ),
    max_size=20,
)


@given(_steps)
@examples(150)
def test_a_crash_between_any_two_steps_loses_nothing(steps: list[tuple[str, Any]]) -> None:
    log, now = MemoryLog(), NOON
    begin(log)
    party = Party(log)
    timers, messages = 0, 0
    for number, (what, which) in enumerate(steps):
        now += MINUTE
        if what == "event":
            log.append_events([event(f"e{number}", which)])
        elif what == "timer":
            timers += 1
            timed = (SubJourneyTimer(timer_id=f"t{number}", customer_id=which, due_at=now),)
            log.append_guarded([guarded(f"g{number}", which, 2**60, timers=timed)])
        elif what == "message":
            messages += 1
            log.append_decisions([decision(which, outbound=True, context_seq=2**60)])
        else:
            late = what.startswith("late")
            seen: Log = log if what == "pass" else Crashing(log, which, late)  # type: ignore[assignment]
            party.log = seen
            try:
                conduct(
                    seen,
                    party.advance_sub_journeys,
                    party.deliver,
                    lambda at=now: at,
                    page=2,
                    chunk=1,
                )
            except Crash:
                pass
    party.log = log
    for _ in range(40):
        now += MINUTE
        done = conduct(
            log, party.advance_sub_journeys, party.deliver, lambda at=now: at, page=2, chunk=1
        )
    assert done.rests
    for customer, events in log.events_since(dict.fromkeys("abcd", 0)).items():
        assert party.seen[customer] == events[-1].seq
    names = Counter(one.name for one in log.page_events())
    assert names[TIMER_FIRED] == timers
    assert names[ACTION_DELIVERED] == messages == len(log.deliveries("delivered", 999))


# One customer must not stop the others


def test_a_customer_who_cannot_be_attended_to_does_not_stop_the_others(
    log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def advance_sub_journeys(customers: Sequence[str]) -> None:
        if "bob" in customers:
            raise ZeroDivisionError
        seen.extend(customers)

    log.append_events([event(name, name) for name in ("ada", "bob", "cyd")])
    assert conduct(log, advance_sub_journeys, lambda _: 0, noon) == OrchestratorPass(
        events=3, attended=2, failed=1
    )
    assert seen == ["ada", "cyd"]
    assert "customer 'bob' is not attended to" in caplog.text
    assert conduct(log, advance_sub_journeys, lambda _: 0, noon).rests


def test_where_nobody_can_be_attended_to_nobody_is_passed_over(log: MemoryLog) -> None:
    def advance_sub_journeys(customers: Sequence[str]) -> None:
        raise ZeroDivisionError

    log.append_events([event(name, name) for name in ("ada", "bob")])
    with pytest.raises(ZeroDivisionError):
        conduct(log, advance_sub_journeys, lambda _: 0, noon)
    party = Party(log)
    conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert party.calls == [["ada", "bob"]]


def test_while_the_store_is_away_nobody_is_passed_over(log: MemoryLog) -> None:
    def advance_sub_journeys(customers: Sequence[str]) -> None:
        raise StoreUnavailable("gone")

    log.append_events([event("1")])
    with pytest.raises(StoreUnavailable):
        conduct(log, advance_sub_journeys, lambda _: 0, noon)
    party = Party(log)
    conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert party.calls == [["ada"]]


def test_a_pass_that_is_to_stop_returns_and_the_rest_is_left(log: MemoryLog) -> None:
    log.append_events([event(str(number), f"c{number}") for number in range(10)])
    party = Party(log)
    stopping = lambda: len(party.calls) == 2  # noqa: E731
    done = conduct(log, party.advance_sub_journeys, party.deliver, noon, stopping=stopping, chunk=3)
    assert done == OrchestratorPass(attended=6, behind=10)
    party.calls.clear()
    conduct(log, party.advance_sub_journeys, party.deliver, noon, chunk=3)
    assert len(party.attended) == 10


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
