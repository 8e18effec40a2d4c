"""Policies: exact probabilities of the draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from models.policy import EpsilonGreedy

priorities = st.lists(
    st.sampled_from([-3.0, 0.0, 0.1, 0.1, 5.0]) | st.floats(-1e6, 1e6), min_size=1, max_size=12
).map(np.array)


@given(priorities, st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_probabilities_sum_to_one_and_each_is_at_least_its_share_of_epsilon(
    given_: np.ndarray, epsilon: float
) -> None:
    found = EpsilonGreedy(epsilon).probabilities(given_)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert (found >= epsilon / len(given_)).all()
    best = given_ == given_.max()
    assert np.ptp(found[best]) == 0.0
    assert found[best].min() >= found.max()


def test_the_best_takes_what_is_not_explored() -> None:
    found = EpsilonGreedy(0.1).probabilities(np.array([1.0, 4.0, 2.0, -1.0]))
    assert found == pytest.approx([0.025, 0.925, 0.025, 0.025])


def test_ties_share_evenly() -> None:
    found = EpsilonGreedy(0.2).probabilities(np.array([3.0, 1.0, 3.0, 0.0]))
    assert found == pytest.approx([0.45, 0.05, 0.45, 0.05])


def test_without_epsilon_only_the_best_are_drawn() -> None:
    assert EpsilonGreedy(0.0).probabilities(np.array([1.0, 2.0])).tolist() == [0.0, 1.0]


def test_one_candidate_is_certain() -> None:
    assert EpsilonGreedy(0.3).probabilities(np.array([-5.0])) == pytest.approx([1.0])


def test_the_name_says_how_it_explores() -> None:
    assert EpsilonGreedy(0.1).name == "epsilon_greedy(0.1)"
