"""Arbitration: what a candidate is worth, and the draw."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nba.arbitration import NO_ACTION_CODE, Arbitration, draw
from tests.house import JOURNEY, changed

ARBITRATION = Arbitration(JOURNEY)
EUR = st.floats(-500, 500)


class LastMoment(np.random.Generator):
    """Draws one fixed number."""

    def __init__(self, number: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.number = number

    def random(self) -> float:  # type: ignore[override]
        return self.number


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.permutations(range(4)))
@settings(max_examples=100, deadline=None)
def test_priority_is_p_accept_x_value_x_lever_less_cost(
    p_accept: list[float], codes: list[int]
) -> None:
    scores = np.array(p_accept)
    found = ARBITRATION.priorities(codes, scores, learned_value=False)
    assert found.codes.tolist() == [*codes, NO_ACTION_CODE]
    for at, code in enumerate(codes):
        action = JOURNEY.actions[code]
        worth = p_accept[at] * action.value_eur * action.lever - action.cost_eur
        assert found.priority[at] == pytest.approx(worth, abs=1e-12)
        assert (found.value_eur[at], found.cost_eur[at]) == (action.value_eur, action.cost_eur)
    assert found.priority[-1] == found.value_eur[-1] == JOURNEY.no_action_value_eur
    assert math.isnan(found.p_accept[-1]) and found.cost_eur[-1] == 0.0


@given(EUR, EUR)
@settings(max_examples=50, deadline=None)
def test_a_learned_value_takes_the_place_of_p_accept_and_value(call: float, quiet: float) -> None:
    code = [action.id for action in JOURNEY.actions].index("agent_callback")
    found = ARBITRATION.priorities([code], np.array([call, quiet]), learned_value=True)
    assert found.priority.tolist() == pytest.approx(
        [1.2 * call - 8, quiet + JOURNEY.no_action_value_eur]
    )
    assert found.value_eur.tolist() == [call, quiet + JOURNEY.no_action_value_eur]
    assert np.isnan(found.p_accept).all()


def test_without_candidates_no_action_stands_alone() -> None:
    found = ARBITRATION.priorities([], np.empty(0), learned_value=False)
    assert found.codes.tolist() == [NO_ACTION_CODE] and found.priority.tolist() == [0.1]


def test_a_journey_without_actions_can_be_arbitrated() -> None:
    alone = Arbitration(changed(actions=[], fallback=[], no_action_value_eur=2.0))
    assert alone.priorities([], np.empty(0), learned_value=False).priority.tolist() == [2.0]


@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.1, 0.25, 1.0]), min_size=1, max_size=6).filter(any),
    st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=300, deadline=None)
def test_what_has_probability_0_is_never_drawn(weights: list[float], number: float) -> None:
    probabilities = np.array(weights) / np.sum(weights)
    assert probabilities[draw(probabilities, LastMoment(number))] > 0.0


@pytest.mark.parametrize(
    ("number", "index"), [(0.0, 1), (0.24, 1), (0.25, 3), (0.9999999999999999, 3)]
)
def test_the_draw_inverts_the_cumulated_probabilities(number: float, index: int) -> None:
    assert draw(np.array([0.0, 0.25, 0.0, 0.75, 0.0]), LastMoment(number)) == index
