"""Greedy: the best mean, whatever its spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nba.engine.policy import Floats, Worth


class Greedy:
    """All on the largest mean; ties share evenly. It does not explore."""

    name = "greedy"

    def probabilities(self, worth: Worth) -> Floats:
        return evenly(worth.mean_eur == worth.mean_eur.max())


def evenly(selected: NDArray[np.bool_]) -> Floats:
    """(n,) probabilities: the selected candidates share evenly, the rest have none."""
    p: Floats = selected / np.count_nonzero(selected)
    return p
