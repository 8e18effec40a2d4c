"""Numbers from outside: bounded at every door, and every sum of what passes is finite."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from nba.errors import InvalidInput, shown
from nba.events.event import Event
from nba.events.numbers import MOST, check_number, number_of
from nba.events.parsing import parse_event
from nba.journey.goals import RewardRule
from nba.journey.mapping import AmountRange, EventMapping
from nba.rewards.attribution import Attribution
from nba.rewards.terms import reward_version
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, changed, event

ANYTHING = st.one_of(
    st.integers(-(10**400), 10**400),
    st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True),
    st.sampled_from([10**4_000, 1e308, -1e308, -0.0, 5e-324, math.inf, math.nan, True, "1e308"]),
    st.booleans(),
    st.text(max_size=5),
    st.none(),
)
NESTED = st.recursive(
    ANYTHING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def bought(*amounts: Any) -> list[Event]:
    return [
        replace(event("Order Completed", NOON, {"revenue": amount}), seq=n)
        for n, amount in enumerate(amounts, start=1)
    ]


def test_a_number_is_taken_up_to_its_bounds_and_not_beyond() -> None:
    for value in (1, -1.5, 0.0, 5e-324, MOST, -MOST):
        check_number("x", value)
    for value in (math.nextafter(MOST, math.inf), math.inf, math.nan, 10**400, True, "1", None):
        with pytest.raises(InvalidInput, match="send a number from -1e\\+38 to 1e\\+38"):
            check_number("x", value)


def test_a_number_of_any_length_is_shown_shortened() -> None:
    assert shown(10**5_000) == "a whole number of about 5000 digits"
    assert len(shown(10**200)) == 60


def test_a_logged_number_beyond_the_bounds_counts_as_the_nearest() -> None:
    assert number_of(10**400, -5.0, 7.0) == 7.0
    assert number_of(-math.inf, -5.0, 7.0) == -5.0
    assert [number_of(value) for value in (None, "3", True, math.nan, [1])] == [None] * 5


def test_two_amounts_of_1e308_in_an_old_log_stop_neither_context_nor_credit() -> None:
    """Before: the sum of the context was inf, and the credit raised OverflowError."""
    old = bought(1e308, 1e308, 10**400, -(10**400), 10**308)
    state = FOLD.advance(FOLD.empty, old)
    assert state is not None
    values = FOLD.context("c", state, NOON).values
    columns = FOLD.schema.index
    assert values[columns["purchase.sum_total"]] == 3e9
    assert not np.isinf(values).any()
    rule = RewardRule(target="value", events=["purchase"])
    decided = event("Action Decided", NOON, {"decision_id": "d", "action_id": "card_offer"})
    later = [replace(one, occurred_at=one.occurred_at.replace(hour=13)) for one in old]
    attribution = Attribution(changed(reward=rule), FOLD.encoder.kind)
    (credit,) = attribution.credits([decided, *later], 2e12)
    assert credit.reward == 3e9


def test_a_journey_may_widen_and_narrow_the_range_of_an_amount() -> None:
    wide = EventMapping(
        id="p", event="P", amount="eur", amount_range=AmountRange(low=0.0, high=1e12)
    )
    wide.check_amount({"eur": 1e12})
    with pytest.raises(
        InvalidInput, match="properties.eur: -1: send a number from 0 to 1000000000000"
    ):
        wide.check_amount({"eur": -1})
    assert wide.amount_in({"eur": -1}) == 0.0
    assert EventMapping(id="p", event="P").amount_in({"eur": 1}) is None


def test_the_range_is_part_of_what_a_reward_is_only_where_it_is_declared() -> None:
    events = [
        replace(one, amount_range=AmountRange(high=5.0)) if one.amount else one
        for one in JOURNEY.events
    ]
    assert reward_version(changed(events=events)) != reward_version(JOURNEY)
    assert changed(events=events).catalogue_version() != JOURNEY.catalogue_version()
    # a file of before has the hash of before: an unset range is not written
    assert b"amount_range" not in FOLD.schema.schema_hash.encode()


@given(properties=st.dictionaries(st.sampled_from(["revenue", "results_count", "x"]), NESTED))
@examples(150)
def test_whatever_a_door_takes_leaves_every_sum_finite(properties: dict[str, Any]) -> None:
    """Refused by the name of its field, or taken without a trace of infinity."""
    payload = {"event_id": "e", "customer_id": "c", "name": "Order Completed"}
    try:
        taken = parse_event({**payload, "properties": properties}, NOON)
        FOLD.encoder.check(taken)
    except InvalidInput as error:
        assert "properties" in error.field
        assert len(str(error)) < 400
        return
    many = [replace(taken, seq=n, event_id=f"e{n}") for n in range(1, 4)]
    state = FOLD.advance(FOLD.empty, many)
    assert state is not None and not np.isinf(FOLD.context("c", state, NOON).values).any()


@given(amounts=st.lists(ANYTHING, max_size=8))
@examples(100)
def test_whatever_an_old_log_holds_leaves_every_sum_finite(amounts: list[Any]) -> None:
    state = FOLD.advance(FOLD.empty, bought(*amounts))
    assert state is not None
    assert not np.isinf(FOLD.context("c", state, NOON).values).any()


def test_the_first_time_of_a_customer_is_not_taken_from_a_clock_at_its_zero() -> None:
    """A log of before holds such events at 1990-01-01; before, `days_known` was 13,208."""
    zero = datetime(1990, 1, 1, tzinfo=UTC)
    column = FOLD.schema.index["customer.days_known"]
    state = FOLD.advance(FOLD.empty, [replace(event("page", zero), seq=1)])
    assert state is not None
    assert np.isnan(FOLD.context("c", state, NOON).values[column])
    state = FOLD.advance(state, [replace(event("page", NOON), seq=2)])
    assert state is not None
    assert FOLD.context("c", state, NOON + timedelta(days=3)).values[column] == 3.0
