"""Epsilon-greedy: the best mean, and now and then any candidate."""

from __future__ import annotations

from models.policies.greedy import evenly
from nba.engine.policy import Floats, Worth


class EpsilonGreedy:
    """p_i = epsilon / n + (1 - epsilon) [i is best] / n_best; ties share evenly.

    Sutton and Barto, Reinforcement Learning (2nd edition, 2018), section 2.2.
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon
        self.name = f"epsilon_greedy({epsilon:g})"

    def probabilities(self, worth: Worth) -> Floats:
        mean = worth.mean_eur
        return self.epsilon / len(mean) + (1.0 - self.epsilon) * evenly(mean == mean.max())
