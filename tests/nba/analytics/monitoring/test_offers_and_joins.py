"""Whether the loop is well: rewards that come, exploration, actions that starve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.analytics.monitoring.offer_counts import (
    OfferCounts,
    coverage,
    exploration,
    offer_counts,
    starved,
)
from nba.analytics.monitoring.outcome_join import (
    OutcomeJoin,
    ShareEstimate,
    join_rate,
    join_rate_fell,
    outcome_join,
)
from nba.measurement.statistics.estimate import Undecided
from tests.fixtures.examples import examples

ACTIONS = ("call", "card", "letter")


def hashes(customers: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2**63, customers, dtype=np.uint64)


def joins(decisions: int, joined: int) -> OutcomeJoin:
    """Decisions of as many customers."""
    return outcome_join(hashes(decisions), np.arange(decisions) < joined)


def test_the_join_rate_has_an_exact_interval() -> None:
    """Clopper and Pearson's own example: 8 of 20 is 19.1 % to 63.9 %."""
    found = join_rate(joins(12, 5) + joins(8, 3), design_effect=1.0)
    assert isinstance(found, ShareEstimate)
    assert (found.value, found.n) == (0.4, 20)
    assert (found.low, found.high) == pytest.approx((0.1912, 0.6395), abs=5e-5)
    none = join_rate(joins(20, 0))
    assert isinstance(none, ShareEstimate) and (none.low, round(none.high, 4)) == (0.0, 0.1684)
    assert isinstance(join_rate(OutcomeJoin()), Undecided)


def test_decisions_of_one_customer_are_one_customer() -> None:
    """40 customers who always answer and 40 who never do, 100 decisions each: as 80 are known."""
    found = outcome_join(np.repeat(hashes(80), 100), np.repeat(np.arange(80) % 2 == 0, 100))
    assert found.design_effect == pytest.approx(100.0, rel=0.35)
    rate = join_rate(found)
    assert isinstance(rate, ShareEstimate) and rate.value == 0.5
    assert rate.low < 0.42 and rate.high > 0.58


def test_customers_who_differ_are_no_feed_that_has_stopped() -> None:
    """Answers by a rate of each customer's own, 40 decisions each: how often is it called fallen?
    Taken as so many customers, one pair of weeks in six was."""
    rng = np.random.default_rng(8)
    fell = 0
    for _ in range(200):
        weeks = []
        for _ in range(2):
            own = rng.beta(0.2, 0.8, 150)
            whose = np.repeat(rng.integers(0, 2**63, 150, dtype=np.uint64), 40)
            weeks.append(outcome_join(whose, rng.random(6_000) < np.repeat(own, 40)))
        fell += join_rate_fell(*weeks) is True
    assert fell <= 2


def test_outcomes_that_stop_to_arrive_are_seen_and_noise_is_not() -> None:
    before = joins(50_000, 10_000)
    assert join_rate_fell(before, joins(2_000, 300)) is True
    assert join_rate_fell(before, joins(2_000, 380)) is False
    assert join_rate_fell(before, joins(2_000, 600)) is False
    assert join_rate_fell(before, joins(2_000, 0)) is True
    assert isinstance(join_rate_fell(before, OutcomeJoin()), Undecided)
    assert isinstance(join_rate_fell(OutcomeJoin(), before), Undecided)


def test_exploration_is_one_where_the_draw_is_uniform_and_nothing_where_it_is_not() -> None:
    uniform = np.array([[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    greedy = np.array([[1.0, 0.0, 0.0]] * 2)
    hardly = np.array([[1.0 - 2e-9, 1e-9, 1e-9]])
    assert exploration(offer_counts(ACTIONS, uniform, np.array([0, 2]))) == pytest.approx(1.0)
    assert exploration(offer_counts(ACTIONS, hardly, np.array([0]))) == pytest.approx(0.0, abs=1e-6)
    assert exploration(offer_counts(ACTIONS, greedy, np.array([0, 0]))) == Undecided(
        reason="no decision with two candidates or more"
    )


def test_an_action_that_is_offered_and_hardly_drawn_starves() -> None:
    record = OfferCounts(actions=ACTIONS, offered=(20_000, 20_000, 900), drawn=(19_000, 3, 0))
    assert starved(record) == ("card",)
    assert starved(record, share=0.0001) == ()
    assert starved(record + record + record + record + record) == ("card", "letter")


def test_the_catalogue_says_what_is_never_used() -> None:
    record = OfferCounts(actions=ACTIONS, offered=(10, 10, 0), drawn=(10, 0, 0))
    found = coverage(record, ("call", "card", "letter", "loan"))
    assert found == (0.25, ("letter", "loan"), ("card",))
    assert isinstance(coverage(record, ()), Undecided)


@given(st.integers(0, 10_000), st.integers(0, 200))
@examples(40)
def test_shards_with_other_actions_add_up(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), 200) * (rng.random((200, 3)) < 0.8)
    p[p.sum(axis=1) == 0, 0] = 1.0
    p /= p.sum(axis=1, keepdims=True)
    drawn = p.argmax(axis=1)
    turned = [2, 0, 1]
    names, back = tuple(ACTIONS[i] for i in turned), np.argsort(turned)
    other = offer_counts(names, p[cut:][:, turned], back[drawn[cut:]])
    added, whole = (
        other + offer_counts(ACTIONS, p[:cut], drawn[:cut]),
        offer_counts(ACTIONS, p, drawn),
    )
    assert (added.actions, added.offered, added.drawn) == (
        whole.actions,
        whole.offered,
        whole.drawn,
    )
    assert added.entropy == pytest.approx(whole.entropy) and added.choices == whole.choices
