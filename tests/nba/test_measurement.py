"""Off-policy sums and intervals, against hand computations and published vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nba.measurement.off_policy.evaluation import WeightedRewards, snips, weigh
from nba.measurement.statistics.estimate import MIN_ESS, Estimate, Undecided, as_json

one_decision = st.tuples(st.floats(0, 1), st.floats(0.01, 1), st.floats(-50, 50))
logs = st.lists(one_decision, max_size=40)
FIELDS = WeightedRewards.__struct_fields__


def sums_of(log: list[tuple[float, float, float]]) -> WeightedRewards:
    target, propensity, rewards = np.array(log, dtype=float).reshape(-1, 3).T
    return weigh(target, propensity, rewards)


def test_snips_equals_a_computation_by_hand() -> None:
    """60 decisions of weight 2 with reward 1, 40 of weight 0.5 with reward 0."""
    log = [(1.0, 0.5, 1.0)] * 60 + [(0.25, 0.5, 0.0)] * 40
    sums = sums_of(log)
    assert sums == WeightedRewards(n=100, w=140.0, w2=250.0, wr=120.0, w2r=240.0, w2r2=240.0)
    assert sums.ess == pytest.approx(140**2 / 250)
    found = snips(sums)
    assert isinstance(found, Estimate)
    value = 120 / 140
    variance = (60 * 4 * (1 - value) ** 2 + 40 * 0.25 * value**2) / 140**2
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.high - found.value == pytest.approx(1.959963985 * math.sqrt(variance), rel=1e-9)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert found.n == 100


def test_the_published_vector_comes_out() -> None:
    """V9: 20,000 decisions, arm 1 logged at 0.04, 824 pulls, 65 rewards, target always arm 1."""
    target = np.repeat([1.0, 0.0], [824, 19_176])
    propensity = np.repeat([0.04, 0.96], [824, 19_176])
    rewards = np.zeros(20_000)
    rewards[:65] = 1.0
    sums = weigh(target, propensity, rewards)
    assert sums.wr / sums.n == pytest.approx(0.08125, abs=1e-12)  # IPS
    assert sums.ess == pytest.approx(824)
    found = snips(sums)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(0.0788834951, abs=1e-10)
    half = 1.959963985 * math.sqrt(found.value * (1 - found.value) / 824)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))
    assert (found.n, found.ess) == (20_000, pytest.approx(824))


def test_the_policy_that_logged_is_worth_its_mean() -> None:
    rng = np.random.default_rng(0)
    propensity, rewards = rng.uniform(0.1, 1, 200), rng.normal(3, 1, 200)
    found = snips(weigh(propensity, propensity, rewards))
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(rewards.mean())
    assert found.ess == pytest.approx(200)


@given(logs, logs, logs)
@settings(max_examples=150, deadline=None)
def test_the_sums_of_parts_are_the_sums_of_the_whole(
    one: list[tuple[float, float, float]],
    two: list[tuple[float, float, float]],
    three: list[tuple[float, float, float]],
) -> None:
    a, b, c = sums_of(one), sums_of(two), sums_of(three)
    whole = sums_of([*one, *two, *three])
    for name in FIELDS:
        for joined in ((a + b) + c, a + (b + c), c + a + b + WeightedRewards()):
            scale = 1 + abs(getattr(a, name)) + abs(getattr(b, name)) + abs(getattr(c, name))
            difference = getattr(joined, name) - getattr(whole, name)
            assert abs(difference) <= 1e-9 * scale + 1e-9


@given(st.lists(one_decision, min_size=1, max_size=200))
@settings(max_examples=150, deadline=None)
def test_an_estimate_lies_within_the_rewards_or_is_refused(
    log: list[tuple[float, float, float]],
) -> None:
    found = snips(sums_of(log))
    if isinstance(found, Undecided):
        assert sums_of(log).ess < MIN_ESS
        return
    rewards = [reward for _, _, reward in log]
    assert min(rewards) - 1e-6 <= found.value <= max(rewards) + 1e-6
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ([], "effective sample size 0.0 of 0 decisions, under 30"),
        ([(1.0, 1.0, 1.0)] * 29, "effective sample size 29.0 of 29 decisions, under 30"),
        ([(0.0, 0.5, 1.0)] * 99, "effective sample size 0.0 of 99 decisions, under 30"),
    ],
)
def test_too_little_evidence_is_undecided(log: list[tuple[float, float, float]], why: str) -> None:
    assert snips(sums_of(log)) == Undecided(reason=why)


def test_one_heavy_weight_is_little_evidence() -> None:
    log = [(1.0, 0.001, 1.0), *[(0.5, 0.5, 0.0)] * 500]
    found = snips(sums_of(log))
    assert isinstance(found, Undecided) and found.reason.startswith("effective sample size 2.2 of")


def test_more_confidence_is_a_wider_interval() -> None:
    sums = sums_of([(1.0, 1.0, float(n % 2)) for n in range(100)])
    narrow, wide = snips(sums, confidence=0.9), snips(sums, confidence=0.99)
    assert isinstance(narrow, Estimate) and isinstance(wide, Estimate)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_a_report_holds_the_interval_or_the_reason() -> None:
    assert as_json(Undecided(reason="nothing yet")) == {"undecided": "nothing yet"}
    found = Estimate(value=1.0, low=0.5, high=1.5, n=40, ess=31.0)
    assert as_json(found) == {"value": 1.0, "ci": [0.5, 1.5], "n": 40, "ess": 31.0}
