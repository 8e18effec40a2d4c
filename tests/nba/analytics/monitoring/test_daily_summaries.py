"""What happened on a day in sums: from events, decisions and credits."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nba.analytics.monitoring.daily_aggregation import (
    MAX_NAMES,
    OTHERS,
    choose_bins,
    context_rows,
    count_decisions,
    count_events,
)
from nba.analytics.monitoring.daily_summary import EventCounts
from nba.analytics.monitoring.data_checks import unit_change
from nba.decisions.decision import Decision, Mode
from nba.events.event import Event
from tests.fixtures.open_replica import ADA, all_eligible, open_replica
from tests.fixtures.small_replica import FOLD, JOURNEY, event


def told(*events: Event, known: tuple[str, ...] = ()) -> EventCounts:
    return count_events(events, JOURNEY, FOLD.encoder.mapping, known)


def bought(revenue: Any) -> Event:
    return event("Order Completed", properties={"revenue": revenue})


def test_what_the_file_does_not_map_is_counted_by_its_name() -> None:
    found = told(event("page"), event("Cart Viewed"), event("Cart Viewed"), event("identify"))
    assert found.events == 4
    assert (found.kinds.of("page"), found.unmapped.of("Cart Viewed")) == (1, 2)
    assert found.unmapped.names == ("Cart Viewed",)


def test_what_the_log_itself_appends_is_no_event_from_outside() -> None:
    assert told(event("Action Decided"), event("Timer Fired")) == EventCounts()


def test_an_event_that_its_condition_leaves_out_is_no_unknown_one() -> None:
    assert told(event("Products Searched")).unmapped.names == ()


def test_names_without_end_are_counted_together() -> None:
    found = told(*(event(f"event {n}") for n in range(MAX_NAMES + 50)))
    assert len(found.unmapped.names) == MAX_NAMES + 1 and found.unmapped.of(OTHERS) == 50
    later = told(event("another"), event("event 3"), known=found.unmapped.names)
    assert later.unmapped.names == (OTHERS, "event 3")


def test_a_category_that_is_not_listed_is_told_from_one_that_is_missing() -> None:
    segments = ({"segment": "mass"}, {"segment": "platinum"}, {"segment": None}, {})
    source = told(*(event("identify", properties=segment) for segment in segments)).sources.of(
        "traits.segment"
    )
    assert (source.carriers, source.read, source.unlisted) == (4, 1, 1)


@pytest.mark.parametrize("value", [None, "12", True, [1]])
def test_an_amount_that_is_no_number_is_not_read(value: Any) -> None:
    source = told(bought(value)).sources.of("purchase.revenue")
    assert (source.carriers, source.read, source.n) == (1, 0, 0)


def test_amounts_beyond_their_range_are_counted_as_logs_of_before_hold_them() -> None:
    """Before: nothing told that 1e12 counts as 1e9 in every sum and reward."""
    found = told(*map(bought, (9.99, 1e9, 1e12, 10**400, True, "12", None)))
    assert found.sources.of("purchase.revenue").beyond == 2
    check = unit_change(found, found)
    assert check.text.endswith("; 4 amounts beyond their range count as its bound")
    assert "beyond" not in unit_change(told(bought(5.0)), told(bought(1e9))).text


def test_the_size_of_numbers_is_their_mean_log() -> None:
    source = told(bought(10), bought(-1000.0), bought(0)).sources.of("purchase.revenue")
    assert (source.carriers, source.read, source.n) == (3, 3, 2)
    assert source.size == pytest.approx((1.0 + 3.0) / 2.0 * 2.302585093)


def decisions(n: int = 40) -> list[Decision]:
    replica = open_replica()
    replica.log.append_events(all_eligible())
    return replica.draw(*[ADA] * n)


def test_decisions_are_counted_with_their_probabilities_and_scores() -> None:
    made = decisions()
    found = count_decisions(made, None)
    assert found.live == found.schemas.total == 40 and found.unsound == 0
    assert found.customers.count == 1
    assert found.least == min(c.propensity for one in made for c in one.candidates)
    assert sum(found.offers.drawn) == 40
    assert found.draws.n == 40 and sum(found.draws.expected) == pytest.approx(40)
    (scores,) = found.scores
    assert sum(scores.churn) == 40 and sum(scores.accept) == 4 * 40
    assert found.contexts.counts == b""


def test_probabilities_that_do_not_sum_to_one_are_counted_and_left_out() -> None:
    first, *others = decisions()
    half = tuple(msgspec.structs.replace(c, propensity=c.propensity / 2) for c in first.candidates)
    none = msgspec.structs.replace(others[0], action_id="left_the_catalogue")
    wrong = [msgspec.structs.replace(first, candidates=half), none, *others[1:]]
    found = count_decisions(wrong, None)
    assert (found.unsound, found.draws.n, found.live) == (2, 38, 40)


def test_a_fallback_is_counted_and_nothing_is_learned_of_its_draw() -> None:
    made = [msgspec.structs.replace(decision, mode=Mode.FALLBACK) for decision in decisions(3)]
    found = count_decisions(made, None)
    assert (found.modes.of("fallback"), found.live, found.draws.n) == (3, 0, 0)


def test_contexts_of_other_columns_are_not_counted() -> None:
    made = decisions(4)
    schema = FOLD.schema
    rows = context_rows(made, made[0].context_schema)
    assert rows.shape == (4, len(schema.columns))
    cut = choose_bins(made[0].context_schema, schema.columns, rows, "bundle-1")
    assert cut.edges[schema.index["customer.days_known"]] == ()  # time alone moves it
    other = msgspec.structs.replace(made[0], context_schema="other")
    found = count_decisions([*made, other], cut)
    assert {column.n for column in found.contexts.columns(cut)} == {4} and found.schemas.total == 5


def test_no_event_and_no_decision_is_a_day_of_nothing() -> None:
    assert told() == EventCounts() and count_decisions([], None).modes.total == 0
