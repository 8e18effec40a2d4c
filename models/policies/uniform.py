"""Random: every candidate with the same probability."""

from __future__ import annotations

import numpy as np

from nba.engine.policy import Floats, Worth


class Random:
    """p_i = 1 / n: what a log is best made by, and what a policy is measured against."""

    name = "random"

    def probabilities(self, worth: Worth) -> Floats:
        n = len(worth.codes)
        return np.full(n, 1.0 / n)
