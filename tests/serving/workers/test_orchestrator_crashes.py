"""An orchestrator that crashes, or meets a customer who cannot be attended to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nba.decisions.sub_journey_moves import SubJourneyTimer
from nba.errors import StoreUnavailable
from nba.events.names import ACTION_DELIVERED, TIMER_FIRED
from nba.rewards.isolation import SEVERAL
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from serving.workers.orchestrator import OrchestratorPass, begin, conduct
from tests.fixtures.examples import examples
from tests.fixtures.log_records import NOON, decision, event, guarded
from tests.fixtures.orchestrated_party import MINUTE, Party, noon


@pytest.fixture
def log(log: MemoryLog) -> MemoryLog:
    """A log in which the orchestrator has begun."""
    begin(log)
    return log


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


def test_a_customer_who_failed_is_attended_to_again_ten_minutes_later(log: MemoryLog) -> None:
    """Before: not until their next event, which may never come."""
    broken = {"bob", "cyd"}
    seen: list[str] = []

    def advance_sub_journeys(customers: Sequence[str]) -> None:
        if broken & set(customers):
            raise ZeroDivisionError
        seen.extend(customers)

    log.append_events([event("bob", "bob"), event("cyd", "cyd")])  # nobody else is there
    again: dict[str, datetime] = {}
    assert conduct(log, advance_sub_journeys, lambda _: 0, noon, again=again).failed == 2
    broken.remove("bob")
    assert conduct(log, advance_sub_journeys, lambda _: 0, noon, again=again).failed == 0
    later = noon() + timedelta(minutes=10)
    done = conduct(log, advance_sub_journeys, lambda _: 0, lambda: later, again=again)
    assert (done.attended, done.failed, seen) == (1, 1, ["bob"])
    assert again == {"cyd": later + timedelta(minutes=10)}


def test_where_nobody_can_be_attended_to_nobody_is_passed_over(log: MemoryLog) -> None:
    def advance_sub_journeys(customers: Sequence[str]) -> None:
        raise ZeroDivisionError

    names = [f"c{number}" for number in range(SEVERAL)]
    log.append_events([event(name, name) for name in names])
    with pytest.raises(ZeroDivisionError):
        conduct(log, advance_sub_journeys, lambda _: 0, noon)
    party = Party(log)
    conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert party.calls == [names]


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
