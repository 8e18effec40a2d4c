"""Arms that a bandit fills, compared by what was drawn and with which probability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.measurement.off_policy.bandit_arms import (
    ArmContrast,
    ArmCounts,
    ScoredDecisions,
    aipw_scores,
    arm_contrast,
    arm_difference,
    arm_scores,
    exact_confidence_sequence,
    past_means,
)
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import ratio_mean
from tests.fixtures.examples import examples


def effect(found: Effect | Undecided) -> Effect:
    assert isinstance(found, Effect)
    return found


def drifting() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V10, exactly: arms alike, base 5 % and then 10 %, arm 1's share 50 % and then 90 %."""
    drawn, propensity, rewards = [], [], []
    for base, part in ((0.05, 0.5), (0.1, 0.9)):
        for arm, chance in ((1, part), (0, 1.0 - part)):
            n = round(2_000 * chance)
            drawn += [arm] * n
            propensity += [chance] * n
            rewards += [1.0] * round(base * n) + [0.0] * (n - round(base * n))
    return np.array(drawn), np.array(propensity), np.array(rewards)


def bandit(seed: int, n: int, rates: tuple[float, ...], floor: float = 0.1) -> ScoredDecisions:
    """Epsilon-greedy in blocks of 50, its floor on every arm."""
    rng, k = np.random.default_rng(seed), len(rates)
    drawn, propensity, rewards = np.empty(n, dtype=int), np.empty(n), np.empty(n)
    counts, wins = np.ones(k), np.full(k, 0.1)
    for start in range(0, n, 50):
        p = np.full(k, floor)
        p[np.argmax(wins / counts)] += 1.0 - k * floor
        block = slice(start, start + 50)
        drawn[block] = rng.choice(k, size=50, p=p)
        propensity[block] = p[drawn[block]]
        rewards[block] = rng.random(50) < np.array(rates)[drawn[block]]
        counts += np.bincount(drawn[block], minlength=k)
        wins += np.bincount(drawn[block], weights=rewards[block], minlength=k)
    return aipw_scores(drawn, propensity, rewards, past_means(drawn, rewards, k, prior=0.1))


def test_drift_of_the_shares_fakes_no_lift() -> None:
    """V10: the means alone say 40.8 % more."""
    drawn, propensity, rewards = drifting()
    naive = [rewards[drawn == arm].mean() for arm in (0, 1)]
    assert naive[1] == pytest.approx(0.0821429, abs=1e-7)
    assert naive[0] == pytest.approx(0.0583333, abs=1e-7)
    assert naive[1] / naive[0] - 1.0 == pytest.approx(0.408, abs=5e-4)
    draws = aipw_scores(drawn, propensity, rewards, np.zeros((len(drawn), 2)))
    assert draws.scores.mean(axis=0) == pytest.approx([0.075, 0.075], abs=1e-12)
    found = effect(arm_difference(arm_contrast(draws, 0, 1)))
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert ratio_mean(arm_scores(draws, 1).scores).mean == pytest.approx(0.075)


def test_the_right_predictions_change_no_mean_and_narrow_the_interval() -> None:
    drawn, propensity, rewards = drifting()
    base = np.repeat([0.05, 0.1], 2_000)[:, None] * np.ones((1, 2))
    bare = aipw_scores(drawn, propensity, rewards, np.zeros((len(drawn), 2)))
    helped = aipw_scores(drawn, propensity, rewards, base)
    assert helped.scores.mean(axis=0) == pytest.approx([0.075, 0.075], abs=1e-12)
    widths = [effect(arm_difference(arm_contrast(one, 0, 1))).high for one in (bare, helped)]
    assert widths[1] < widths[0]


def test_the_gate_waits_for_events_and_says_for_which() -> None:
    record = ArmContrast(a=ArmCounts(199, 60), b=ArmCounts(5_000, 49))
    assert arm_difference(record, names=("letters", "calls")) == Undecided(
        reason="letters has 199 of 200 decisions and 60 of 50 successes; "
        "calls has 5000 of 200 decisions and 49 of 50 successes"
    )
    alike = ArmContrast(a=ArmCounts(300, 60), b=ArmCounts(300, 60))
    assert arm_difference(alike) == Undecided(reason="the scores do not vary between customers")


def test_past_means_know_nothing_of_the_future() -> None:
    drawn, rewards = np.array([0, 1, 0, 0]), np.array([1.0, 0.0, 0.0, 1.0])
    found = past_means(drawn, rewards, 2, prior=0.5, weight=2.0)
    assert found[:, 0] == pytest.approx([0.5, 2 / 3, 2 / 3, 2 / 4])
    assert found[:, 1] == pytest.approx([0.5, 0.5, 1 / 3, 1 / 3])
    other = rewards.copy()
    other[2] = 1.0
    assert past_means(drawn, other, 2, prior=0.5, weight=2.0)[:3] == pytest.approx(found[:3])


def test_a_better_arm_is_found_by_both_intervals() -> None:
    draws = bandit(4, 20_000, (0.1, 0.2))
    ever = effect(arm_difference(arm_contrast(draws, 0, 1)))
    once = effect(arm_difference(arm_contrast(draws, 0, 1), tuning_n=None))
    exact = exact_confidence_sequence(draws, 0, 1, floor=0.1, base=0.1, looks=np.array([20_000]))
    for found in (ever, once, exact):
        assert 0.0 < found.low < 0.1 < found.high
    assert once.value == pytest.approx(ever.value) and once.tuning_n is None
    assert once.high - once.low < ever.high - ever.low < exact.high - exact.low


def test_equal_arms_are_seldom_told_apart_at_any_look() -> None:
    """80 runs of 5,000 decisions, looked at every 250."""
    false, exact_false = 0, 0
    looks = np.arange(250, 5_001, 250)
    for seed in range(80):
        draws = bandit(seed, 5_000, (0.2, 0.2))
        record, wrong = ArmContrast(), False
        for start in range(0, 5_000, 250):
            rows = slice(start, start + 250)
            part = ScoredDecisions(draws.drawn[rows], draws.rewards[rows], draws.scores[rows])
            record = record + arm_contrast(part, 0, 1)
            found = arm_difference(record, tuning_n=1_000)
            wrong |= isinstance(found, Effect) and not found.low <= 0.0 <= found.high
        false += wrong
        band = exact_confidence_sequence(draws, 0, 1, floor=0.1, base=0.2, looks=looks)
        exact_false += bool(((band.low > 0.0) | (band.high < 0.0)).any())
    assert false / 80 <= 0.05
    assert exact_false / 80 <= 0.02


@given(st.integers(0, 1_000), st.integers(1, 999), st.booleans())
@examples(30)
def test_shards_of_customers_add_up(seed: int, cut: int, grouped: bool) -> None:
    draws = bandit(seed, 1_000, (0.2, 0.4))
    customers = np.arange(1_000) // 4 if grouped else None
    cut = cut // 4 * 4
    whole = draws._replace(customers=customers)
    rows = slice(0, cut), slice(cut, 1_000)
    parts = [
        ScoredDecisions(*(None if column is None else column[row] for column in whole))
        for row in rows
    ]
    for make in (lambda d: arm_contrast(d, 0, 1), lambda d: arm_scores(d, 1)):
        added, once = make(parts[0]) + make(parts[1]), make(whole)
        for name in once.scores.__struct_fields__:
            assert getattr(added.scores, name) == pytest.approx(getattr(once.scores, name))
    contrast = arm_contrast(whole, 0, 1)
    assert contrast.scores.n == (250 if grouped else 1_000)
    assert contrast.a.pulls + contrast.b.pulls == 1_000


def test_what_cannot_be_is_refused() -> None:
    one = np.array([0]), np.array([0.5]), np.array([1.0]), np.zeros((1, 2))
    with pytest.raises(InvalidInput, match="propensity"):
        aipw_scores(one[0], np.array([0.0]), one[2], one[3])
    draws = aipw_scores(*one)
    looks = np.array([1])
    with pytest.raises(InvalidInput, match="the least propensity was lower"):
        exact_confidence_sequence(draws, 0, 1, floor=0.9, base=0.1, looks=looks)
    with pytest.raises(InvalidInput, match="base"):
        exact_confidence_sequence(draws, 0, 1, floor=0.5, base=1.0, looks=looks)
    with pytest.raises(InvalidInput, match="scale them"):
        heavy = draws._replace(rewards=np.array([3.0]))
        exact_confidence_sequence(heavy, 0, 1, floor=0.5, base=0.1, looks=looks)


def test_few_successes_widen_the_interval_of_one_look() -> None:
    """Student's with twice the rarer arm's successes: 2 x 5 and 2 x 500 degrees."""
    sums = arm_contrast(bandit(1, 2_000, (0.2, 0.2)), 0, 1).scores
    few, many = (
        effect(
            arm_difference(
                ArmContrast(a=ArmCounts(900, 500), b=ArmCounts(900, hits), scores=sums),
                tuning_n=None,
                minimum=ArmCounts(200, 5),
            )
        )
        for hits in (5, 500)
    )
    ratio_mean = (few.high - few.low) / (many.high - many.low)
    assert ratio_mean == pytest.approx(2.2281389 / 1.9623391, rel=1e-6)
