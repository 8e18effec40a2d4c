"""Training sets of known make, for tests."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from nba.durations import HOUR_S
from training.data.time_split import Split
from training.data.training_sets import TrainingSet

COLUMNS = ("search.count_1h", "calls.count_7d", "traits.age", "never.known")


def made_set(n: int = 1_500, *, customers: int = 300, seed: int = 1) -> TrainingSet:
    """The first column moves the label, the second a little; the last is unknown in every row."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, len(COLUMNS)))
    rows[:, 2] = rng.integers(18, 80, n)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows[:, -1] = np.nan
    margin = 2 * np.nan_to_num(rows[:, 0]) + np.nan_to_num(rows[:, 1]) - 0.5
    return TrainingSet(
        columns=COLUMNS,
        rows=rows,
        labels=(rng.random(n) < expit(margin)).astype(float),
        at_s=np.arange(n) * HOUR_S,
        horizon_s=1.0,
        customers=np.array([f"c{at % customers}" for at in range(n)], dtype=object),
    )


def parts_of(data: TrainingSet) -> Split:
    """The first half to fit on, a quarter to hold, a quarter to test on."""
    at = np.arange(len(data.labels)) / len(data.labels)
    return Split(at < 0.5, (at >= 0.5) & (at < 0.75), at >= 0.75)
