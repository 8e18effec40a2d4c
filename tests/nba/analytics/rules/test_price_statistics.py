"""The statistics behind the prices of rules, against textbooks."""

from __future__ import annotations

import numpy as np
import pytest

from nba.analytics.rules.price_estimates import bootstrap_total, lifted_difference, snips_difference
from nba.analytics.rules.prices import PAGE
from nba.analytics.rules.shadow_agreement import report_shadow
from nba.decisions.request import Request
from nba.governance.rule_ablation import rule_parts
from nba.measurement.statistics.estimate import Undecided
from nba.stores.pages import decision_pages
from serving.reports.rule_tables import shadow_json
from tests.fixtures.rule_prices import SCORES, number, plain
from tests.fixtures.small_replica import JOURNEY, SmallReplica, StubScorer


def test_shadow_agreement_has_an_interval_and_a_minimum() -> None:
    replica = SmallReplica(plain(), scorer=StubScorer(SCORES))
    for k in range(120):
        baseline = "loan_offer" if k % 4 else "card_offer"
        channel = "web" if k < 100 else "app"
        replica.decide(Request(customer_id=f"c{k}", channel=channel, baseline=baseline))
    every, app, web = report_shadow(decision_pages(replica.log, size=PAGE))
    assert (every.channel, app.channel, web.channel) == (None, "app", "web")
    assert every.decisions == 120 and isinstance(app.agreement, Undecided)
    agreed = number(web.agreement)
    assert agreed.low < agreed.value < agreed.high
    assert web.same == round(agreed.value * 100)
    assert shadow_json([every, app, web])["channels"]
    (empty,) = report_shadow(iter([]))
    assert isinstance(empty.agreement, Undecided)


# The statistics


def test_the_difference_of_two_sides_is_that_of_the_textbook() -> None:
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(3)
    one, other = rng.normal(1.0, 2.0, 60), rng.normal(0.0, 1.0, 40)
    found = number(lifted_difference(one, other))
    interval = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.n == 100
    assert isinstance(lifted_difference(np.ones(60), np.ones(40)), Undecided)


def test_the_bootstrap_is_that_over_all_customers() -> None:
    rng = np.random.default_rng(4)
    sums = rng.exponential(size=100)
    found = number(bootstrap_total(sums, 400, 5, 400))
    every = np.concatenate([sums, np.zeros(300)])
    spread = np.sqrt(400 * every.var())
    assert found.value == pytest.approx(sums.sum())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * spread, rel=0.1)
    assert bootstrap_total(sums, 400, 5, 400) == found
    assert isinstance(bootstrap_total(sums[:5], 20, 5, 20), Undecided)


def test_the_difference_of_a_policy_to_itself_is_nothing() -> None:
    rng = np.random.default_rng(6)
    p, r = rng.uniform(0.1, 1, 200), rng.normal(size=200)
    found = number(snips_difference(p, p, r, np.arange(200)))
    assert found.value == pytest.approx(0.0) and found.high - found.low == pytest.approx(0.0)
    none = snips_difference(np.zeros(200), p, r, np.arange(200))
    assert isinstance(none, Undecided)


def test_rules_of_the_small_journey_are_all_listed() -> None:
    listed = [(part.kind, part.id) for part in rule_parts(JOURNEY)]
    assert ("cap", "three_a_week") in listed and ("lever", "call_more") in listed
    assert ("inline", "help_popup.eligible") in listed
