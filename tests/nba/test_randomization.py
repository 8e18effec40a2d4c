"""Randomization: shares of the customers, uniform, and independent between salts."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2_contingency, chisquare

from nba.randomization import in_share, position

NAMES = [f"customer-{n}" for n in range(20_000)]


def test_positions_are_uniform() -> None:
    for salt in ("holdout:rescue", "lifted:cap"):
        positions = np.array([position(salt, name) for name in NAMES])
        assert ((positions >= 0.0) & (positions < 1.0)).all()
        assert chisquare(np.histogram(positions, bins=20, range=(0, 1))[0]).pvalue > 0.001


def test_positions_of_two_salts_are_independent() -> None:
    first, second = (
        [int(position(salt, name) * 5) for name in NAMES] for salt in ("holdout:a", "holdout:b")
    )
    table = np.histogram2d(first, second, bins=5)[0]
    assert chi2_contingency(table).pvalue > 0.001


def test_a_share_is_a_share_and_a_greater_one_holds_a_smaller() -> None:
    small = {name for name in NAMES if in_share("x", 0.1, name)}
    large = {name for name in NAMES if in_share("x", 0.3, name)}
    assert small < large
    assert abs(len(small) / len(NAMES) - 0.1) < 0.01
    assert not any(in_share("x", 0.0, name) for name in NAMES)
    assert all(in_share("x", 1.0, name) for name in NAMES)
