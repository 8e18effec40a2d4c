"""Thompson by quadrature: the probability of being the best, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import ndtr

from models.policies.thompson import Thompson, best_probabilities
from nba.engine.policy import Worth
from tests.fixtures.examples import examples


def probabilities(mean: list[float], spread: list[float]) -> np.ndarray:
    return best_probabilities(np.array(mean), np.array(spread))


@given(
    gap=st.floats(-10, 10),
    log_spreads=st.tuples(st.floats(-5, 3), st.floats(-5, 3)),
    shift=st.floats(-1e3, 1e3),
)
@examples(150)
def test_two_candidates_are_the_normal_difference(
    gap: float, log_spreads: tuple[float, float], shift: float
) -> None:
    first, second = (10.0**log_spread for log_spread in log_spreads)
    p = probabilities([shift + gap, shift], [first, second])
    apart = ((shift + gap) - shift) / np.hypot(first, second)
    assert p[0] == pytest.approx(ndtr(apart), abs=1e-6)


@given(gap=st.floats(-10, 10), spread=st.floats(1e-6, 1e3))
@examples(60)
def test_one_certain_and_one_unsure_candidate_too(gap: float, spread: float) -> None:
    p = probabilities([gap, 0.0], [spread, 0.0])
    assert p[0] == pytest.approx(ndtr(gap / spread), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_two_million_draws_find(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 12))
    mean, spread = rng.normal(0, 1, n), 10 ** rng.uniform(-2.5, 0.5, n)
    spread[rng.random(n) < 0.2] = 0.0
    best = np.zeros(n)
    for _ in range(20):
        best += np.bincount(
            (mean + spread * rng.normal(size=(100_000, n))).argmax(axis=1), minlength=n
        )
    assert np.abs(best / 2e6 - best_probabilities(mean, spread)).max() < 0.002


def test_certain_candidates_below_the_best_certain_one_are_never_drawn() -> None:
    p = probabilities([1.0, 0.5, 0.8, 1.0], [0.0, 0.0, 0.3, 0.0])
    assert p[1] == 0.0
    assert p[0] == p[3] == pytest.approx(ndtr((1.0 - 0.8) / 0.3) / 2, abs=1e-6)


def test_certain_candidates_alone_are_greedy() -> None:
    assert probabilities([1.0, 2.0, 2.0], [0.0, 0.0, 0.0]).tolist() == [0.0, 0.5, 0.5]


def test_exact_ties_share_evenly() -> None:
    p = probabilities([0.3, 0.3, 0.3, 0.1], [0.2, 0.2, 0.2, 0.5])
    assert p[0] == p[1] == p[2]


@given(
    st.lists(
        st.tuples(st.floats(-1e300, 1e300), st.floats(0, 1e300) | st.just(5e-324)),
        min_size=1,
        max_size=8,
    )
)
@examples(150)
def test_no_finite_worth_makes_it_fail(rows: list[tuple[float, float]]) -> None:
    p = probabilities([m for m, _ in rows], [s for _, s in rows])
    assert np.isfinite(p).all()
    assert p.sum() == pytest.approx(1.0, abs=1e-9)


@given(
    means=st.lists(st.floats(-2, 2), min_size=2, max_size=8),
    spread=st.floats(0.01, 1),
    more=st.floats(0.001, 1),
)
@examples(60)
def test_a_better_mean_is_never_drawn_less(means: list[float], spread: float, more: float) -> None:
    spreads = [spread] * len(means)
    before = probabilities(means, spreads)[0]
    assert probabilities([means[0] + more, *means[1:]], spreads)[0] >= before - 1e-6


def test_a_smaller_scale_explores_less() -> None:
    worth = Worth(np.arange(2), np.array([0.2, 0.1]), np.array([0.1, 0.1]), np.ones(2))
    little, much = (Thompson(scale).probabilities(worth)[1] for scale in (0.25, 1.0))
    assert little < 0.01 < much < 0.5
