"""Intervals for bounded rewards, against vw-estimators 0.2.2, and how often intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from nba.errors import InvalidInput
from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.estimators import RatioEstimate
from nba.measurement.off_policy.intervals import standard_error
from nba.measurement.off_policy.logged_decisions import LoggedDecisions, logged_decisions, overlap
from nba.measurement.off_policy.lower_bounds import (
    bernstein_lower_bound,
    gain_lower_bound,
)
from nba.measurement.statistics.intervals import normal_interval


def v9(order: np.ndarray | None = None) -> LoggedDecisions:
    """20,000 decisions, arm 1 logged at .04, 824 pulls, 65 rewards, target always arm 1."""
    target = np.repeat([1.0, 0.0], [824, 19_176])
    propensity = np.repeat([0.04, 0.96], [824, 19_176])
    rewards = (np.arange(20_000) < 65) * 1.0
    order = np.arange(20_000) if order is None else order
    return logged_decisions(target[order], propensity[order], rewards[order])


def always_bounded(evidence: LoggedDecisions) -> tuple[float, float]:
    """The peer's confidence sequence: a lower bound of w r and one of w (1 - r), 97.5 % each."""
    w, r = evidence.weights, evidence.rewards
    return bernstein_lower_bound(w * r, 0.975), 1.0 - bernstein_lower_bound(w * (1.0 - r), 0.975)


def test_the_published_vector_comes_out() -> None:
    found = v9()
    assert estimators.ips(found).value == pytest.approx(0.08125, abs=1e-12)
    snips = estimators.snips(found)
    assert isinstance(snips, RatioEstimate) and snips.value == pytest.approx(
        0.0788834951, abs=1e-10
    )
    assert overlap(found).ess == pytest.approx(824)


@pytest.mark.parametrize(
    ("seed", "peer"),
    [
        (None, (0.03881961783704111, 0.20142176595518047)),
        (0, (0.03918759236139488, 0.20135427415718832)),
        (1, (0.03919040307089755, 0.20135454524515806)),
    ],
)
def test_the_confidence_sequence_is_the_peers_in_any_order(
    seed: int | None, peer: tuple[float, float]
) -> None:
    """The vector's own order is not published; its figures are (.0391913, .2013616)."""
    order = None if seed is None else np.random.default_rng(seed).permutation(20_000)
    found = always_bounded(v9(order))
    assert found == pytest.approx(peer, abs=1e-9)
    if seed is not None:
        assert found == pytest.approx((0.0391913, 0.2013616), abs=1e-5)


def weighted(scale: float) -> LoggedDecisions:
    rng = np.random.default_rng(3)
    propensity = rng.uniform(0.1, 1, 500)
    target = np.minimum(rng.uniform(0, 1, 500) * propensity * 1.9, 1)
    return logged_decisions(target * scale, propensity, rng.random(500))


def test_weights_of_all_sizes_give_the_peers_intervals() -> None:
    """The weights sum to less than n, and to far less, where the likelihood adds a heavy row."""
    one, half = weighted(1.0), weighted(0.5)
    assert always_bounded(one) == pytest.approx((0.3808569559665478, 0.6252750204404751))
    assert always_bounded(half) == pytest.approx((0.1887149303172627, 0.8142991326345218))


def test_rewards_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(InvalidInput, match="rewards"):
        gain_lower_bound(logged_decisions(np.ones(3), np.ones(3), np.array([0.0, 1.0, 2.0])))


def test_nothing_seen_bounds_nothing() -> None:
    assert bernstein_lower_bound(np.zeros(0)) == 0.0
    assert bernstein_lower_bound(np.zeros(500)) == 0.0


def contextual(rng: np.random.Generator, n: int = 1_500) -> tuple[LoggedDecisions, float, float]:
    """A log with customers of several decisions, its target's value, and that of the log."""
    customers = rng.integers(0, n // 3, n)
    taste = rng.normal(0, 0.6, n // 3)[customers]
    x = rng.normal(0, 1, n)
    accepts = 1 / (1 + np.exp(-(np.array([-2.0, -1.4, -1.7]) + np.outer(x, [0.8, -0.5, 0.0]))))
    target = 0.1 / 3 + 0.9 * (accepts == accepts.max(axis=1, keepdims=True))
    accepts = 1 / (1 + np.exp(-(np.log(accepts / (1 - accepts)) + taste[:, None])))
    chances = np.tile([0.6, 0.2, 0.2], (n, 1))
    drawn = (rng.random((n, 1)) >= chances.cumsum(axis=1)).sum(axis=1)
    row = np.arange(n)
    rewards = (rng.random(n) < accepts[row, drawn]) * 1.0
    believed = np.full((n, 3), 0.2)
    found = logged_decisions(
        *(target[row, drawn], chances[row, drawn], rewards, customers),
        q_logged=believed[row, drawn],
        q_target=(target * believed).sum(axis=1),
    )
    return found, float((target * accepts).sum() / n), float((chances * accepts).sum() / n)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(20)
    logs = [contextual(rng) for _ in range(400)]
    truth = float(np.mean([value for _, value, _ in logs]))
    for make in (estimators.ips, estimators.snips, estimators.dr):
        held = 0
        for evidence, _, _ in logs:
            scores = make(evidence)
            assert isinstance(scores, RatioEstimate)
            low, high = normal_interval(scores.value, standard_error(scores, evidence.customers))
            held += low <= truth <= high
        assert 0.92 <= held / len(logs) <= 0.98, make.__name__


def test_bounds_for_every_look_are_never_passed() -> None:
    rng = np.random.default_rng(21)
    logs = [contextual(rng, 600) for _ in range(100)]
    for evidence, value, own in logs:
        low, high = always_bounded(evidence)
        assert low <= value <= high
        assert gain_lower_bound(evidence) <= value - own
