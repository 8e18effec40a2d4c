"""A cohort says what its scores promise."""

from __future__ import annotations

import numpy as np
import pytest

from models.residual.cohort import Cohort
from models.residual.features import ResidualSpec
from models.residual.pending import PendingExposures


def test_what_is_scored_is_the_sum_of_the_scores() -> None:
    spec = ResidualSpec(columns=("age",), means=(0.0,), deviations=(1.0,))
    pending = PendingExposures(spec, ("loan",), [1_000.0] * 4)
    p0 = np.full(6, 0.2)
    x = spec.features(np.zeros((6, 1)), p0)
    pending.expose(x, np.array([0, 0, 0, 0, 1, 2]), p0, np.zeros(6), np.full(6, 10.0))
    (cohort,) = pending.cohorts.values()
    assert cohort.scored(spec.size) == pytest.approx([0.8, 0.2, 0.2, 0.0])


def test_an_empty_one_promises_nothing() -> None:
    assert Cohort(4, 3).scored(3).tolist() == [0.0] * 4
