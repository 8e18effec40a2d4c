"""Random: every candidate with the same probability."""

from __future__ import annotations

import numpy as np

from nba.engine.policy import Floats, Worth


class Random:
    """p_i = 1 / n: the best log for off-policy work, and the baseline of other policies."""

    name = "random"

    def probabilities(self, worth: Worth) -> Floats:
        n = len(worth.codes)
        return np.full(n, 1.0 / n)
