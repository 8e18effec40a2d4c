"""The bandit as a whole: it learns, also from what comes late."""

from __future__ import annotations

import numpy as np
import pytest

from models.learning.bandit import Bandit
from models.policies.gap_weighting import GapWeighting
from models.policies.greedy import Greedy
from models.policies.thompson import Thompson
from models.policies.uniform import Random
from models.residual.features import ResidualSpec
from nba.engine.policy import Policy

SPEC = ResidualSpec(columns=("a",), means=(0.0,), deviations=(1.0,), with_score=False)
ACTIONS = ("low", "high", "depends")
CODES = np.arange(3)
P0 = np.full(3, 0.3)


def truth(a: float) -> np.ndarray:
    return np.array([0.2, 0.4, 0.3 + 0.25 * np.clip(a, -1, 1)])


def played(policy: Policy, *, delay: int = 0, rounds: int = 1_500, seed: int = 0) -> float:
    """The mean reward that is expected of what is drawn in the last third; the first is random."""
    bandit = Bandit(SPEC, ACTIONS, Random(), floor=0.02)
    rng = np.random.default_rng(seed)
    late: list[tuple[int, np.ndarray, int]] = []
    found = []
    for at in range(rounds):
        while late and late[0][0] <= at:
            _, values, code = late.pop(0)
            bandit.reward(values, np.array([code]), P0[:1], np.ones(1), np.zeros(1))
        if at == rounds // 3:
            bandit.policy = policy
        values = rng.normal(size=(1, 1))
        code = bandit.choose(values[0], CODES, P0, rng).at
        expected = truth(values[0, 0])
        found.append(expected[code])
        bandit.expose(values, np.array([code]), P0[:1], np.zeros(1))
        if rng.random() < expected[code]:
            late.append((at + 1 + delay, values, code))
    return float(np.mean(found[-rounds // 3 :]))


@pytest.mark.parametrize("policy", [Thompson(), GapWeighting()], ids=lambda policy: policy.name)
def test_it_learns_which_action_is_good_for_whom(policy: Policy) -> None:
    assert played(Random()) == pytest.approx(0.3, abs=0.02)
    assert played(policy) > 0.41  # 0.40 is the best single action, 0.437 the best of all


def test_rewards_that_come_late_hardly_cost_anything() -> None:
    assert played(Thompson(), delay=100) > played(Thompson()) - 0.02


def test_the_floor_is_shared_by_every_candidate() -> None:
    bandit = Bandit(SPEC, ACTIONS, Greedy(), floor=0.06)
    worth = bandit.worth(np.zeros(1), CODES, np.array([0.1, 0.5, 0.2]))
    assert bandit.probabilities(worth) == pytest.approx([0.02, 0.96, 0.02])


def test_worth_is_the_corrected_score_times_the_gain() -> None:
    bandit = Bandit(SPEC, ACTIONS, Greedy())
    gain = np.array([10.0, 20.0, -5.0])
    worth = bandit.worth(np.zeros(1), CODES, P0, gain_eur=gain)
    assert worth.mean_eur == pytest.approx([3.0, 6.0, -1.5])
    assert worth.spread_eur == pytest.approx(0.05 * np.abs(gain))
    assert worth.exposures == 0


def test_the_same_seed_gives_the_same_run() -> None:
    assert played(Thompson(), rounds=300) == played(Thompson(), rounds=300)


def test_what_many_rows_teach_is_what_they_teach_one_by_one() -> None:
    rng = np.random.default_rng(5)
    values, codes = rng.normal(size=(50, 1)), rng.integers(-1, 3, 50)
    p0, reward, at_s = rng.uniform(0.1, 0.4, 50), rng.random(50), np.zeros(50)
    together, single = Bandit(SPEC, ACTIONS, Greedy()), Bandit(SPEC, ACTIONS, Greedy())
    together.learn(values, codes, p0, reward, at_s)
    for n in range(50):
        of = slice(n, n + 1)
        single.learn(values[of], codes[of], p0[of], reward[of], at_s[of])
    assert single.sums.moment == pytest.approx(together.sums.moment, rel=1e-12)
    one = single.posterior().correct(SPEC.features(values, p0), codes, p0)
    other = together.posterior().correct(SPEC.features(values, p0), codes, p0)
    assert one[0] == pytest.approx(other[0], abs=0.02)  # their priors were found at other times
