"""Shares with customers as the units."""

from __future__ import annotations

import numpy as np
import pytest

from nba.measurement.statistics.intervals import share_interval, wilson


def test_a_row_a_customer_is_wilsons_interval() -> None:
    hits = np.arange(100) < 30
    assert share_interval(hits, np.arange(100)) == pytest.approx(wilson(30, 100))


@pytest.mark.parametrize("hits", [0, 15, 50])
def test_rows_of_one_customer_are_one(hits: int) -> None:
    """50 customers, 20 rows each that are all alike: as 50 rows are known."""
    rows = np.repeat(np.arange(50) < hits, 20)
    found = share_interval(rows, np.repeat(np.arange(50), 20))
    assert found == pytest.approx(wilson(hits, 50))


def test_no_row_says_nothing() -> None:
    assert share_interval(np.zeros(0, dtype=bool), np.zeros(0, dtype=int)) == (0.0, 1.0)
