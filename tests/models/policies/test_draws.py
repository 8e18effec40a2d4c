"""What each policy does with what candidates are worth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.policies.epsilon_greedy import EpsilonGreedy
from models.policies.fixed import Fixed
from models.policies.gap_weighting import GapWeighting
from models.policies.greedy import Greedy
from models.policies.softmax import Softmax
from models.policies.uniform import Random
from nba.engine.policy import Worth


def worth_of(mean: list[float], codes: list[int] | None = None, **given: object) -> Worth:
    n = len(mean)
    arrays = {"spread_eur": np.zeros(n), "gain_eur": np.ones(n), **given}
    return Worth(np.array(codes or range(n)), np.array(mean), **arrays)


def test_random_does_not_look() -> None:
    assert Random().probabilities(worth_of([5.0, 1.0, 0.0, -3.0])).tolist() == [0.25] * 4


def test_greedy_takes_the_best_and_shares_ties() -> None:
    assert Greedy().probabilities(worth_of([1.0, 3.0, 3.0, 0.0])).tolist() == [0, 0.5, 0.5, 0]


def test_epsilon_greedy_keeps_its_share_for_everybody() -> None:
    p = EpsilonGreedy(0.2).probabilities(worth_of([3.0, 1.0, 3.0, 0.0]))
    assert p.tolist() == [0.45, 0.05, 0.45, 0.05]


def test_fixed_takes_the_first_of_its_list_that_is_there() -> None:
    policy = Fixed([7, 4, -1])
    assert policy.probabilities(worth_of([9.0, 1.0, 0.0], [3, 4, -1])).tolist() == [0, 1, 0]
    assert policy.probabilities(worth_of([9.0, 1.0, 0.0], [3, 2, -1])).tolist() == [0, 0, 1]


def test_fixed_shares_among_candidates_of_one_code() -> None:
    assert Fixed([4]).probabilities(worth_of([9.0, 1.0, 0.0], [4, 3, 4])).tolist() == [0.5, 0, 0.5]


def test_fixed_takes_the_best_where_none_of_its_list_is_there() -> None:
    assert Fixed([7]).probabilities(worth_of([1.0, 2.0], [3, 4])).tolist() == [0, 1]


def test_softmax_draws_e_times_less_a_temperature_below() -> None:
    p = Softmax(0.5).probabilities(worth_of([1.0, 0.5, 0.0]))
    assert p[0] / p[1] == pytest.approx(math.e)
    assert p[1] / p[2] == pytest.approx(math.e)


def test_softmax_stands_any_worth() -> None:
    assert Softmax(1e-9).probabilities(worth_of([1e308, -1e308])).tolist() == [1.0, 0.0]


def test_gap_weighting_is_squarecbs_formula() -> None:
    p = GapWeighting(30.0).probabilities(worth_of([0.30, 0.25, 0.10], exposures=99.0))
    assert p[1] == pytest.approx(1 / (3 + 30 * 10 * 0.05))
    assert p[2] == pytest.approx(1 / (3 + 30 * 10 * 0.20))
    assert p[0] == pytest.approx(1 - p[1] - p[2])


def test_gap_weighting_reads_gaps_in_units_of_the_response() -> None:
    low = GapWeighting().probabilities(worth_of([0.30, 0.25, 0.10]))
    eur = worth_of([30.0, 25.0, 10.0], gain_eur=np.full(3, 100.0))
    assert GapWeighting().probabilities(eur) == pytest.approx(low)


def test_gap_weighting_explores_less_the_more_was_learned() -> None:
    early, late = (
        GapWeighting().probabilities(worth_of([0.3, 0.2], exposures=n)) for n in (0.0, 1e4)
    )
    assert late[1] < early[1] / 50


def test_gap_weighting_without_any_gain_takes_eur_as_they_are() -> None:
    p = GapWeighting(10.0).probabilities(worth_of([1.0, 0.0], gain_eur=np.zeros(2)))
    assert p[1] == pytest.approx(1 / 12)
