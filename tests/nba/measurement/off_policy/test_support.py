"""Support: arms whose policy cannot draw what the target draws are left out, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.evaluation import PolicyGain, policy_gain, policy_values
from nba.measurement.off_policy.intervals import standard_error
from nba.measurement.off_policy.logged_decisions import (
    LoggedDecisions,
    answering_decisions,
    logged_decisions,
)
from nba.measurement.off_policy.propensity_audit import DrawProbabilities
from nba.measurement.off_policy.support import LeftOut, answering
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import normal_interval

RATE = np.array([[0.2, 0.5], [0.6, 0.3]])  # of each action (0, 1), by context
TRUTH = 0.5 * (0.2 + 0.3)  # of the target: action 0 in context 0, action 1 in context 1


def log_with_arms(seed: int, n: int = 4_000) -> LoggedDecisions:
    """Half of the customers in no arm, drawn uniformly; half in a greedy arm, always action 0.

    Of the target, which draws the action of the context's number, the greedy arm supports half.
    """
    rng = np.random.default_rng(seed)
    context, greedy = rng.integers(0, 2, n), rng.random(n) < 0.5
    drawn = np.where(greedy, 0, rng.integers(0, 2, n))
    probabilities = np.where(greedy[:, None], [[1.0, 0.0]], [[0.5, 0.5]])
    reward = (rng.random(n) < RATE[context, drawn]) * 1.0
    return logged_decisions(
        (drawn == context) * 1.0,
        probabilities[np.arange(n), drawn],
        reward,
        supported=probabilities[np.arange(n), context] > 0,
        q_logged=RATE[context, drawn],
        q_target=RATE[context, context],
        arms=np.where(greedy, "price_test.greedy", ""),
        draws=DrawProbabilities(("a0", "a1"), probabilities, drawn),
    )


def test_a_greedy_arm_is_left_out_and_the_answer_says_so() -> None:
    found = log_with_arms(1)
    refused = policy_values(found)["dr"]
    assert isinstance(refused, Undecided) and "could not draw" in refused.reason
    kept = answering_decisions(found).policies[0]
    values = policy_values(kept)
    for method in ("ips", "snips", "dr"):
        value = values[method]
        assert not isinstance(value, Undecided)
        assert value.low < TRUTH < value.high
        assert value.left_out == LeftOut(decisions=found.n - kept.n, arms=("price_test.greedy",))
    gain = policy_gain(kept)
    assert isinstance(gain, PolicyGain)
    assert "decisions of price_test.greedy are left out" in gain.dr.left_out.text


@pytest.mark.parametrize("method", [estimators.ips, estimators.snips, estimators.dr])
def test_the_intervals_without_the_arm_cover_the_truth(method: Any) -> None:
    covered = 0
    for seed in range(200):
        (kept,) = answering_decisions(log_with_arms(seed, 1_000)).policies
        scores = method(kept)
        low, high = normal_interval(scores.value, standard_error(scores, kept.customers))
        covered += low < TRUTH < high
    assert covered >= 180  # 190 expected, 3.2 standard errors


def test_leaving_out_by_what_was_drawn_is_refused() -> None:
    """The rows of the greedy arm that drew what the target draws, say: the audit sees it."""
    found = log_with_arms(1)
    drawn_one = np.asarray(found.draws.drawn == 1) if found.draws is not None else None
    assert drawn_one is not None
    some = (found.propensity < 1.0) & ~(drawn_one & (np.arange(found.n) % 3 == 0))
    only = found.of_rows(some, LeftOut())
    refused = policy_values(replace(only, supported=None))["snips"]
    assert isinstance(refused, Undecided) and "depends on what was drawn" in refused.reason


def test_the_same_rows_stay_for_both_policies() -> None:
    found = log_with_arms(2)
    uniform = found.with_target(np.full(found.n, 0.5), supported=found.propensity * 0 + 1.0)
    rows, (target, other) = answering_decisions(found, uniform)
    assert target.n == other.n == rows.sum() < found.n
    assert target.left_out == other.left_out


def test_where_no_arm_can_answer_none_is_left_out_for_the_refusal_to_say_so() -> None:
    rows, left_out = answering(["", "a", "a"], np.full(3, 0.5), np.ones(3))
    assert rows.all() and not left_out.decisions and left_out.text == ""
    rows, left_out = answering(["", "a", "a"], np.array([0.0, 1.0, 0.0]), np.ones(3))
    assert rows.tolist() == [True, False, False]  # whole, whatever each of them supports
    rows, left_out = answering(["", "a"], np.array([0.5, 0.0]), np.ones(2))
    assert "customers in no arm" in left_out.text
