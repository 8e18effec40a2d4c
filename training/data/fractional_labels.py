"""Fractional labels: a response of 0.4 as a positive of weight 0.4 and a negative of weight 0.6.

Log loss, the AUC and whatever is fitted by them mean the same of the split rows as of shares: the
split is exact, for estimators and figures that know classes alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class SplitRows(NamedTuple):
    """m weighted rows of class 0 or 1, in the order of the n rows that they stand for."""

    rows: NDArray[np.int64]  # (m,) positions from 0 to n - 1
    classes: NDArray[np.int64]  # (m,) 0 or 1
    weights: NDArray[np.float64]  # (m,) above 0; those of one row add up to 1


def is_fractional(labels: np.ndarray) -> bool:
    """Whether any of (n,) labels lies between 0 and 1."""
    return bool(((labels != 0.0) & (labels != 1.0)).any())


def split_rows(labels: np.ndarray) -> SplitRows:
    """The rows of (n,) labels from 0 to 1; one of 0 or 1 stays a single row of weight 1."""
    positive, negative = np.flatnonzero(labels > 0.0), np.flatnonzero(labels < 1.0)
    rows = np.concatenate([positive, negative])
    order = np.argsort(rows, kind="stable")
    classes = np.repeat([1, 0], [len(positive), len(negative)])
    weights = np.concatenate([labels[positive], 1.0 - labels[negative]])
    return SplitRows(rows[order], classes[order], weights[order])
