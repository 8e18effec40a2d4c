"""Arbitration: what each candidate is worth now, and the draw among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from nba.context import Context
from nba.decision import Churn, Reason
from nba.journey import JourneyFile

NO_ACTION_CODE = -1  # stands for "leave the customer in peace" among action codes


class Scorer(Protocol):
    """A promoted bundle, bound to a journey.

    `learns_value`: its touchpoint model predicts the value in EUR of offering an action, and not
    the probability of a good response.
    """

    bundle_id: str
    learns_value: bool

    def touchpoint(self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]) -> np.ndarray:
        """Scores of every (context, action code), flat in the given order.

        A NO_ACTION_CODE is given only where `learns_value`.
        """

    def churn(self, contexts: Sequence[Context]) -> list[Churn]:
        """Each customer's risk of leaving, with what moved it, largest first."""

    def touchpoint_reasons(
        self, contexts: Sequence[Context], codes: Sequence[int]
    ) -> list[tuple[Reason, ...]]:
        """What moved the score of one action per context, largest first."""


class Policy(Protocol):
    """How we draw."""

    name: str

    def probabilities(self, priorities: np.ndarray) -> np.ndarray:
        """(n,) probabilities over n >= 1 candidates, summing to 1."""


class Priorities(NamedTuple):
    """Candidates with their factors, arrays (n,); `no_action` is the last."""

    codes: np.ndarray  # action codes, NO_ACTION_CODE last
    p_accept: np.ndarray  # NaN where the value is learned, and for no_action
    value_eur: np.ndarray
    lever: np.ndarray
    cost_eur: np.ndarray
    priority: np.ndarray  # EUR


class Arbitration:
    """priority = p_accept x context weight x value x lever - cost; the context weight is 1 so far.

    `no_action` competes with its own declared value, or with its learned one.
    """

    def __init__(self, journey: JourneyFile) -> None:
        self._value = np.array([*(a.value_eur for a in journey.actions), 0.0])
        self._lever = np.array([*(a.lever for a in journey.actions), 1.0])
        self._cost = np.array([*(a.cost_eur for a in journey.actions), 0.0])
        self._no_action_value = journey.no_action_value_eur

    def priorities(
        self, codes: Sequence[int], scores: np.ndarray, *, learned_value: bool
    ) -> Priorities:
        """Worth of each action code and of `no_action`.

        `scores`: p_accept per code, or with `learned_value` EUR per code and for no_action.
        """
        every = np.array([*codes, NO_ACTION_CODE])
        p_accept = np.full(len(every), np.nan)
        value, lever, cost = self._value[every], self._lever[every], self._cost[every]
        if learned_value:
            value = np.asarray(scores, dtype=float).copy()
            priority = value * lever - cost
        else:
            p_accept[:-1] = scores
            priority = np.zeros(len(every))
            priority[:-1] = (p_accept * value * lever - cost)[:-1]
        value[-1] += self._no_action_value
        priority[-1] += self._no_action_value
        return Priorities(every, p_accept, value, lever, cost, priority)


def draw(probabilities: np.ndarray, rng: np.random.Generator) -> int:
    """An index drawn with these probabilities, never one of probability 0."""
    upto = np.cumsum(probabilities)
    index = int(np.searchsorted(upto, rng.random() * upto[-1], side="right"))
    return min(index, int(np.flatnonzero(probabilities)[-1]))
