"""What every policy holds to."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import gammaincc

from models.policies.epsilon_greedy import EpsilonGreedy
from models.policies.from_journey import POLICIES as REGISTRY, exploration_policy_of
from models.policies.thompson import Thompson
from nba.engine.policy import Policy, Worth, choose
from nba.journey.exploration import Exploration, Kind
from tests.fixtures.examples import examples

ACTIONS = ["action_0", "action_1", "action_2", "action_3"]
POLICIES: tuple[Policy, ...] = (
    *(
        make(Exploration(policy=kind, order=["action_2", "action_0"]), ACTIONS)
        for kind, make in REGISTRY.items()
    ),
    EpsilonGreedy(0.1),
    Thompson(1.0),
)
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


def worth_of(mean: list[float], spread: list[float] | float = 0.0, exposures: float = 10) -> Worth:
    """Candidates 0, 1, ... and no_action last."""
    n = len(mean)
    codes = np.array([*range(n - 1), -1])
    means, spreads = np.array(mean, dtype=float), np.broadcast_to(np.array(spread, float), n)
    return Worth(codes, means, spreads, np.full(n, 2.0), exposures)


eur = st.floats(-1e6, 1e6) | st.floats(-1.0, 1.0) | st.sampled_from([0.0, 1.0, -1.0])
wide = st.floats(0.0, 1e6) | st.floats(0.0, 1.0) | st.just(0.0)
candidate_sets = st.lists(st.tuples(eur, wide), min_size=1, max_size=12).map(
    lambda rows: worth_of([m for m, _ in rows], [s for _, s in rows])
)


@every_policy
@given(worth=candidate_sets)
@examples(40)
def test_probabilities_sum_to_one_over_the_candidates(policy: Policy, worth: Worth) -> None:
    p = policy.probabilities(worth)
    assert p.shape == worth.codes.shape
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1.0, abs=1e-9)


@every_policy
@given(worth=candidate_sets, seed=st.integers(0, 1000))
@examples(40)
def test_the_order_of_the_candidates_changes_nothing(
    policy: Policy, worth: Worth, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(worth.codes))
    turned = Worth(*(array[order] for array in worth[:4]), worth.exposures)
    expected = policy.probabilities(worth)[order]
    assert policy.probabilities(turned) == pytest.approx(expected, abs=1e-9)


@every_policy
@given(mean=eur, spread=wide, n=st.integers(1, 6), lower=st.lists(eur, max_size=4))
@examples(40)
def test_equal_candidates_share_evenly(
    policy: Policy, mean: float, spread: float, n: int, lower: list[float]
) -> None:
    if policy.name.startswith("fixed"):
        return  # it tells actions apart by their codes
    worth = worth_of([mean] * n + lower, [spread] * n + [0.0] * len(lower))
    p = policy.probabilities(worth)[:n]
    assert p == pytest.approx([p[0]] * n, abs=1e-12)


@every_policy
@given(mean=eur, spread=wide)
@examples(30)
def test_a_single_candidate_is_certain(policy: Policy, mean: float, spread: float) -> None:
    assert policy.probabilities(worth_of([mean], spread)).tolist() == [1.0]


@every_policy
def test_draws_are_as_frequent_as_their_propensities(policy: Policy) -> None:
    worth = worth_of([0.1, 0.12, 0.11, 0.05, 0.1], [0.02, 0.05, 0.01, 0.1, 0.0])
    p = policy.probabilities(worth)
    rng, draws = np.random.default_rng(11), 20_000
    drawn = [choose(p, rng) for _ in range(draws)]
    assert all(one.propensity == p[one.at] > 0 for one in drawn)
    counts = np.bincount([one.at for one in drawn], minlength=len(p))
    assert (counts[p == 0] == 0).all()
    possible = p > 1e-12
    expected = draws * p[possible]
    chi2 = ((counts[possible] - expected) ** 2 / expected).sum()
    freedom = np.count_nonzero(possible) - 1
    assert freedom == 0 or gammaincc(freedom / 2, chi2 / 2) > 1e-4


@every_policy
def test_the_same_worth_gives_the_same_probabilities(policy: Policy) -> None:
    worth = worth_of([0.1, 0.3, 0.3, -0.2], [0.2, 0.1, 0.1, 0.0])
    assert policy.probabilities(worth).tolist() == policy.probabilities(worth).tolist()


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_that_a_journey_may_name_has_a_policy(kind: Kind) -> None:
    drawn = exploration_policy_of(Exploration(policy=kind, order=["b", "no_action"]), ["a", "b"])
    assert drawn.policy.name.partition("(")[0] == kind.removeprefix("epsilon_")
    assert drawn.floor == (0.0 if kind == "greedy" else 0.1)
