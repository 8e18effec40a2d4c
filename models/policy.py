"""Policies: how we draw among candidates, with exact propensities."""

from __future__ import annotations

import numpy as np


class EpsilonGreedy:
    """The best priority with 1 - epsilon, any candidate with epsilon / n; ties share evenly.

    p_i = epsilon / n + (1 - epsilon) [i is best] / n_best. Sutton and Barto, Reinforcement
    Learning (2nd edition, 2018), section 2.2.

    >>> EpsilonGreedy(epsilon=0.2).probabilities(np.array([3.0, 1.0, 3.0, 0.0])).tolist()
    [0.45, 0.05, 0.45, 0.05]
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon
        self.name = f"epsilon_greedy({epsilon:g})"

    def probabilities(self, priorities: np.ndarray) -> np.ndarray:
        best = priorities == priorities.max()
        share: np.ndarray = self.epsilon / len(priorities) + (1 - self.epsilon) * best / best.sum()
        return share
