"""Reward changes: page by page what a clean run gives, at a cost that no history raises, and for
everybody but the customer who cannot be settled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from nba.errors import NbaError
from nba.events.event import Event
from nba.journey.file import JourneyFile
from nba.rewards.attribution import Attribution
from nba.rewards.changes import LogPosition, next_segment, settle_left_out
from nba.rewards.isolation import SEVERAL
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import FOLD, NOON, event
from tests.nba.rewards.test_credit import END_S, RULES, credits, decided, logs

Learned = dict[str, tuple[int, float]]


def _own_passages(events: list[Event]) -> list[Event]:
    """A passage is of one customer: bob's decision follows none of ada's."""
    return [
        replace(one, properties={**one.properties, "episode_id": f"e-{one.customer_id}"})
        if "episode_id" in one.properties
        else one
        for one in events
    ]


LOGS = logs().map(_own_passages)


class Settling:
    """Kinds of events; those of the customers in `failing` cannot be told."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)

    def __call__(self, one: Event) -> str | None:
        if one.customer_id in self.failing:
            raise OverflowError("intermediate overflow in fsum")
        return FOLD.encoder.kind(one)


def add(learned: Learned, changes: object) -> None:
    for change in changes:  # type: ignore[attr-defined]
        counted, reward = learned.get(change.decision_id, (0, 0.0))
        assert reward == pytest.approx(change.before)
        learned[change.decision_id] = (counted + change.exposed, change.after)


def learn(
    log: Log, attribution: Attribution, begin: LogPosition, learned: Learned, page: int = 5_000
) -> LogPosition:
    while (segment := next_segment(log, attribution, begin, page)).events:
        add(learned, segment.changes)
        begin = segment.end
    return begin


def of_a_clean_run(journey: JourneyFile, log: Log, end_s: float) -> Learned:
    return {
        credit.decision.decision_id or "": (int(credit.counted), credit.reward)
        for credit in credits(journey, log.page_events(), end_s)
        if credit.counted or credit.reward
    }


@pytest.mark.parametrize("rule", RULES)
@given(events=LOGS, page=st.integers(1, 19))
@examples(80)
def test_what_pages_change_adds_up_to_what_a_clean_run_gives(
    rule: str, events: list[Event], page: int
) -> None:
    """Windows are 5 days, 36 hours too, the log spans 15: most pages read a part of it."""
    log = MemoryLog()
    log.append_events(events)
    attribution = Attribution(RULES[rule], FOLD.encoder.kind)
    learned: Learned = {}
    learn(log, attribution, LogPosition(), learned, page)
    clean = of_a_clean_run(RULES[rule], log, END_S)
    assert {name: value for name, value in learned.items() if value != (0, 0.0)} == {
        name: (counted, pytest.approx(reward)) for name, (counted, reward) in clean.items()
    }


@pytest.mark.parametrize("rule", RULES)
@given(events=LOGS, page=st.integers(1, 19), fails_for=st.integers(0, 18))
@examples(40)
def test_a_customer_who_fails_stops_nobody_and_is_learned_when_they_can_be(
    rule: str, events: list[Event], page: int, fails_for: int
) -> None:
    log = MemoryLog()
    fails_for = min(fails_for, len(events))
    log.append_events(events[:fails_for])
    kinds = Settling("ada")
    attribution = Attribution(RULES[rule], kinds)
    learned: Learned = {}
    position = learn(log, attribution, LogPosition(), learned, page)
    kinds.failing.clear()
    clean = of_a_clean_run(RULES[rule], log, END_S)
    waiting = [one.customer_id for one in position.left_out]
    assert set(waiting) <= {"ada", "bob"}  # bob too, where an event of ada's names his decision
    assert position.position == fails_for  # the page went on
    if "bob" not in waiting:  # he is learned as if nothing had happened
        bobs = {name: value for name, value in clean.items() if name == "d3"}
        assert {n: v for n, v in learned.items() if n == "d3" and v != (0, 0.0)} == bobs
    log.append_events(events[fails_for:])
    position = learn(log, attribution, position, learned, page)
    settled = settle_left_out(log, attribution, position)
    add(learned, settled.changes)
    assert settled.end.left_out == () and settled.end == replace(
        position, customers_left_out=msgspec.UNSET
    )
    clean = of_a_clean_run(RULES[rule], log, END_S)
    assert {name: value for name, value in learned.items() if value != (0, 0.0)} == {
        name: (counted, pytest.approx(reward)) for name, (counted, reward) in clean.items()
    }


def purchase(customer_id: str, number: int) -> Event:
    at = NOON + timedelta(minutes=number)
    return event("Order Completed", at, {"revenue": 1.0}, customer_id=customer_id)


def test_where_nobody_can_be_settled_it_is_not_the_customers_and_nothing_is_passed_over() -> None:
    log = MemoryLog()
    everybody = [f"c{number}" for number in range(SEVERAL)]
    log.append_events([purchase(who, 1) for who in everybody])
    attribution = Attribution(RULES["value"], Settling(*everybody))
    with pytest.raises(OverflowError):
        next_segment(log, attribution, LogPosition())
    attribution = Attribution(RULES["value"], Settling(*everybody[1:]))
    assert len(next_segment(log, attribution, LogPosition()).end.left_out) == SEVERAL - 1


def test_more_than_a_thousand_are_not_left_out_one_after_the_other() -> None:
    position = LogPosition()
    for number in range(1_000):
        position = position.leaving_out({f"c{number}": "OverflowError"}, LogPosition())
    assert len(position.left_out) == 1_000
    with pytest.raises(NbaError, match=r"1,001 customers cannot be settled \(OverflowError\)"):
        position.leaving_out({"one more": "OverflowError"}, LogPosition())


def test_a_position_of_before_reads_and_is_written_as_it_was() -> None:
    written = b'{"position":7,"end_s":1.5,"begin":0,"settled_s":0.0}'
    position = msgspec.json.decode(written, type=LogPosition)
    assert position.left_out == () and msgspec.json.encode(position) == written
    left = position.leaving_out({"ada": "OverflowError"}, LogPosition(position=3, end_s=1.0))
    again = msgspec.json.decode(msgspec.json.encode(left), type=LogPosition)
    assert again == left and again.left_out[0].position == 3


class CountingLog(PostgresLog):
    """A log that counts the events that are read from it, pages aside."""

    read = 0

    def events_from(self, moments: Mapping[str, datetime]) -> dict[str, list[Event]]:
        found = super().events_from(moments)
        self.read += sum(len(own) for own in found.values())
        return found

    def events_since(self, positions: Mapping[str, int]) -> dict[str, list[Event]]:
        found = super().events_since(positions)
        self.read += sum(len(own) for own in found.values())
        return found


def test_what_a_page_reads_of_a_customer_does_not_grow_with_their_history(
    postgres_url: str,
) -> None:
    """Before: all of it, on each page."""
    log = CountingLog.open(postgres_url)
    assert isinstance(log, CountingLog)
    attribution = Attribution(RULES["value"], FOLD.encoder.kind)  # windows of 5 days
    reads = []
    for history in (0, 2_000):
        who = f"ada{history}"
        old = [
            replace(purchase(who, 0), event_id=f"{who}{n}", occurred_at=NOON - timedelta(hours=n))
            for n in range(241, 241 + history)  # ten days before, and older
        ]
        log.append_events(old)
        begin = LogPosition(position=log.position(), end_s=NOON.timestamp())
        made = decided(f"d{history}", 0, "agent_callback")
        log.append_events([replace(made, customer_id=who), purchase(who, 5)])
        log.read = 0
        segment = next_segment(log, attribution, begin)
        assert [(change.exposed, change.after) for change in segment.changes] == [(1, 1.0)]
        reads.append(log.read)
    assert reads == [2, 2]
    log.close()
