"""Customers: a cache that never shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from features.context_store import SNAPSHOT_AFTER, ContextStore
from nba.customer.context import Context
from nba.events.event import Event
from nba.stores.memory.log import MemoryLog
from tests.fixtures.small_replica import FOLD, NOON, event, failed_search

HOUR = timedelta(hours=1)


class CountingLog(MemoryLog):
    """Remembers from where it was asked for events."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, int]] = []

    def events_since(self, positions: Mapping[str, int]) -> dict[str, list[Event]]:
        self.asked.append(dict(positions))
        return super().events_since(positions)


def value(context: Context, column: str) -> float:
    return float(context.values[FOLD.schema.index[column]])


def same(one: Context, other: Context) -> bool:
    return (
        one.values.tobytes() == other.values.tobytes()
        and one.contacts == other.contacts
        and (one.seq, one.as_of, one.known) == (other.seq, other.as_of, other.known)
    )


def test_the_next_call_sees_what_another_replica_appended() -> None:
    log = MemoryLog()
    here, there = ContextStore(log, FOLD), ContextStore(log, FOLD)
    log.append_events([failed_search()])
    for store in (here, there):
        [context] = store.of(["ada"], NOON)
        assert value(context, "search_failed.total") == 1.0
    log.append_events([failed_search(NOON + HOUR)])
    for store in (here, there):
        [context] = store.of(["ada"], NOON + HOUR)
        assert (value(context, "search_failed.total"), context.seq) == (2.0, 2)


def test_only_new_events_are_read_for_a_customer_in_the_cache() -> None:
    log = CountingLog()
    store = ContextStore(log, FOLD)
    log.append_events([failed_search(), failed_search(customer_id="bob")])
    store.of(["ada", "ada"], NOON)
    store.of(["ada"], NOON)
    assert log.asked == [{"ada": 0}, {"ada": 1}]


def test_an_event_that_happened_before_the_last_one_rebuilds_the_customer_from_the_log() -> None:
    log = CountingLog()
    store = ContextStore(log, FOLD)
    log.append_events([event("Application Opened", NOON)])
    store.of(["ada"], NOON + HOUR)
    late = event("Complaint Filed", NOON - HOUR, received_at=NOON + HOUR)
    log.append_events([late])
    [context] = store.of(["ada"], NOON + HOUR)
    assert log.asked[-2:] == [{"ada": 1}, {"ada": 0}]
    assert FOLD.schema.value("journey.stage", value(context, "journey.stage")) == "use"
    assert value(context, "customer.days_known") == pytest.approx(2 / 24)
    [fresh] = ContextStore(log, FOLD).of(["ada"], NOON + HOUR)
    assert same(context, fresh)


def test_an_event_at_the_time_of_the_last_one_is_folded_on_top() -> None:
    log = CountingLog()
    store = ContextStore(log, FOLD)
    log.append_events([event("page", NOON)])
    store.of(["ada"], NOON)
    log.append_events([event("Application Opened", NOON)])
    [context] = store.of(["ada"], NOON)
    assert FOLD.schema.value("journey.stage", value(context, "journey.stage")) == "use"
    assert log.asked == [{"ada": 0}, {"ada": 1}]


def test_a_long_fold_leaves_a_snapshot_that_gives_the_identical_context() -> None:
    log = CountingLog()
    log.append_events([failed_search(NOON + n * HOUR) for n in range(SNAPSHOT_AFTER)])
    [first] = ContextStore(log, FOLD).of(["ada"], NOON)
    assert log.snapshots(["ada"], FOLD.snapshot_hash)["ada"].seq == SNAPSHOT_AFTER
    log.asked.clear()
    [restored] = ContextStore(log, FOLD).of(["ada"], NOON)
    assert log.asked == [{"ada": SNAPSHOT_AFTER}]
    assert same(first, restored)


def test_a_short_fold_leaves_no_snapshot() -> None:
    log = MemoryLog()
    log.append_events([failed_search(NOON + n * HOUR) for n in range(SNAPSHOT_AFTER - 1)])
    ContextStore(log, FOLD).of(["ada"], NOON)
    assert log.snapshots(["ada"], FOLD.snapshot_hash) == {}


def test_a_late_event_replaces_the_snapshot_that_it_made_stale() -> None:
    log = MemoryLog()
    log.append_events([failed_search(NOON + n * HOUR) for n in range(SNAPSHOT_AFTER)])
    ContextStore(log, FOLD).of(["ada"], NOON)
    log.append_events([failed_search(NOON - HOUR)])
    [rebuilt] = ContextStore(log, FOLD).of(["ada"], NOON)
    assert log.snapshots(["ada"], FOLD.snapshot_hash)["ada"].seq == SNAPSHOT_AFTER + 1
    [restored] = ContextStore(log, FOLD).of(["ada"], NOON)
    assert same(rebuilt, restored)
    assert value(restored, "search_failed.total") == SNAPSHOT_AFTER + 1


def test_dropping_customers_from_the_cache_changes_no_context() -> None:
    log = MemoryLog()
    names = [f"c{n}" for n in range(5)]
    roomy, tight = ContextStore(log, FOLD), ContextStore(log, FOLD, kept=1)
    for hour in range(4):
        at = NOON + hour * HOUR
        log.append_events([failed_search(at, name) for name in names[hour:]])
        for one, other in zip(roomy.of(names, at), tight.of(names, at), strict=True):
            assert same(one, other)


def test_contexts_come_in_the_order_asked_for() -> None:
    log = MemoryLog()
    log.append_events([failed_search(customer_id="bob")])
    contexts = ContextStore(log, FOLD).of(["ada", "bob", "ada"], NOON)
    assert [(c.customer_id, c.known) for c in contexts] == [
        *(("ada", False), ("bob", True), ("ada", False)),
    ]


def test_a_clock_behind_the_log_gives_the_context_at_the_last_event() -> None:
    log = MemoryLog()
    log.append_events([failed_search(NOON)])
    [context] = ContextStore(log, FOLD).of(["ada"], NOON - HOUR)
    assert context.as_of == NOON
    assert value(context, "search_failed.count_1h") == 1.0


def test_a_context_once_given_never_changes() -> None:
    log = MemoryLog()
    store = ContextStore(log, FOLD)
    log.append_events([failed_search()])
    [context] = store.of(["ada"], NOON)
    before = context.values.tobytes()
    log.append_events([failed_search(NOON + HOUR)])
    store.of(["ada"], NOON + HOUR)
    assert context.values.tobytes() == before
