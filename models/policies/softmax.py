"""Softmax: the more a candidate is worth, the more often it is drawn."""

from __future__ import annotations

import numpy as np

from nba.engine.policy import Floats, Worth


class Softmax:
    """p_i in proportion to exp(mean_i / temperature): a candidate worth one temperature less is
    drawn e times less often.

    Sutton and Barto, Reinforcement Learning (2nd edition, 2018), section 2.8.
    """

    def __init__(self, temperature_eur: float = 1.0) -> None:
        self.temperature_eur = temperature_eur
        self.name = f"softmax({temperature_eur:g})"

    def probabilities(self, worth: Worth) -> Floats:
        with np.errstate(over="ignore"):  # a gap larger than a float64 has the probability 0
            below = (worth.mean_eur - worth.mean_eur.max()) / self.temperature_eur
        weights: Floats = np.exp(below)
        weights /= weights.sum()
        return weights
