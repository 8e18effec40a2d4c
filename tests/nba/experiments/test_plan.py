"""The plan: what an experiment could show, by the log's own base rates and traffic."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from features.encoder import kinds_of
from nba.analytics.experiments import plan_from_log
from nba.errors import InvalidInput
from nba.experiments.plan import ExperimentPlan
from nba.journey.exploration import Exploration
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.power import sample_size, sd_of_share
from nba.stores.memory.log import MemoryLog
from tests.fixtures.running_experiment import PRIMARY, an_experiment, names
from tests.fixtures.small_replica import JOURNEY, NOON, changed, event


def traffic(days: int, per_day: int, p: float, seed: int, *, loyal: bool = False) -> MemoryLog:
    """Every day other customers are decided; a share of them buys the day after."""
    rng, log = np.random.default_rng(seed), MemoryLog()
    events = []
    for day in range(days):
        for customer in names(per_day, f"day{day}-"):
            at = NOON + timedelta(days=day, minutes=float(rng.uniform(0.0, 600.0)))
            properties = {"decision_id": f"of-{customer}", "action_id": "no_action"}
            events.append(event("Action Decided", at, properties, customer_id=customer))
            buys = rng.random() < p
            if buys:
                later = at + timedelta(days=1)
                events.append(event("Order Completed", later, customer_id=customer))
            if loyal and buys != (rng.random() < 0.05):
                earlier = at - timedelta(days=9)
                events.append(event("Order Completed", earlier, customer_id=customer))
    log.append_events(sorted(events, key=lambda one: one.received_at))
    return log


def plan(log: MemoryLog, journey=JOURNEY, days: float = 21.0, **fields: object) -> ExperimentPlan:
    return plan_from_log(
        log,
        journey,
        an_experiment(**fields),
        days=days,
        kinds_of=kinds_of,
        progress=lambda n: None,
    )


@pytest.fixture(scope="module")
def steady() -> MemoryLog:
    return traffic(days=28, per_day=60, p=0.2, seed=1)


def test_base_rate_and_traffic_are_those_of_the_log(steady: MemoryLog) -> None:
    found = plan(steady)
    assert found.base == pytest.approx(0.2, abs=0.03)
    assert found.base_customers == pytest.approx(60 * 14, abs=60)  # whose seven days are over
    assert found.customers_per_day == pytest.approx(60, abs=9)
    assert not found.problems


def test_what_is_needed_is_what_the_power_says(steady: MemoryLog) -> None:
    found = plan(steady, covariate_days=0.0)
    sd = sd_of_share(found.base)
    assert isinstance(found.needed_fixed, int)
    assert found.needed_fixed == pytest.approx(sample_size(0.05, sd), rel=0.01)
    always = sample_size(0.05, sd, tuning_n=1_000)
    assert found.needed_always_valid == pytest.approx(always, rel=0.01)
    assert found.needed_always_valid > 1.2 * found.needed_fixed  # the price of looking at will
    assert isinstance(found.days_fixed, float)
    assert found.days_fixed == pytest.approx(found.needed_fixed / 60 + 7, rel=0.12)


def test_half_of_the_customers_take_twice_as_long(steady: MemoryLog) -> None:
    all_, half = plan(steady), plan(steady, share=0.5)
    assert isinstance(all_.days_fixed, float) and isinstance(half.days_fixed, float)
    assert half.days_fixed - 7 == pytest.approx(2 * (all_.days_fixed - 7), rel=0.15)
    assert half.needed_fixed == all_.needed_fixed


def test_what_was_known_before_makes_it_shorter() -> None:
    log = traffic(days=28, per_day=60, p=0.2, seed=2, loyal=True)
    found = plan(log)
    assert found.sd_left < 0.8 * found.sd
    without = plan(log, covariate_days=0.0)
    assert isinstance(found.needed_fixed, int) and isinstance(without.needed_fixed, int)
    assert found.needed_fixed < 0.7 * without.needed_fixed


def test_longer_shows_less_and_looking_at_will_costs(steady: MemoryLog) -> None:
    rows = plan(steady).detectable
    assert [row.days for row in rows] == [7.0, 14.0, 28.0, 56.0, 84.0]
    for row, later in zip(rows, rows[1:], strict=False):
        assert later.fixed < row.fixed
        assert row.always_valid > row.fixed


def test_an_honest_table_of_holdouts_comes_with_it(steady: MemoryLog) -> None:
    journey = changed(exploration=Exploration(holdout_share=0.02))
    found = plan(steady, journey)
    assert {one.share for one in found.holdout} == {0.02, 0.05, 0.1}
    of_100_000 = [one.detectable_relative for one in found.holdout if one.customers == 100_000]
    assert 0.13 > of_100_000[0] > of_100_000[1] > of_100_000[2] > 0.05


def test_what_could_never_be_shown_stands_against_the_start(steady: MemoryLog) -> None:
    primary = type(PRIMARY)(
        id="buyers", measure="any", events=["purchase"], window_days=7.0, least_effect=0.0005
    )
    (problem,) = plan(steady, primary=primary).problems
    assert "days at this traffic" in problem
    few = plan(steady, analysis="fixed", customers=100).problems
    assert few and "100 customers are planned" in few[0]
    never = type(PRIMARY)(
        id="never", measure="any", events=["advice"], window_days=7.0, least_effect=0.05
    )
    found = plan(steady, primary=never)
    assert isinstance(found.needed_fixed, Undecided)
    assert found.problems == ["no customer differs from another on it"]


def test_a_log_that_knows_nobody_plans_nothing() -> None:
    with pytest.raises(InvalidInput, match="send events first"):
        plan(MemoryLog())
    (problem,) = plan(traffic(days=3, per_day=5, p=0.2, seed=1)).problems
    assert "0 customers in the log have a complete window, under 100" in problem
