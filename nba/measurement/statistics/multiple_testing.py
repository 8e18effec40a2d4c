"""p-values adjusted for how many were looked at: compare them with the level as they are."""

from __future__ import annotations

import numpy as np

from nba.errors import InvalidInput


def holm(p: np.ndarray) -> np.ndarray:
    """For claims none of which may be false, (m,): Holm, Scandinavian Journal of Statistics 1979.

    In ascending order p_(i) (m - i + 1), never falling, at most 1.
    """
    return _adjusted(p, np.arange(len(p), 0, -1.0), upwards=True)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """For claims of which a share may be false, (m,): Benjamini and Hochberg, JRSS B 1995.

    In ascending order p_(i) m / i, never falling, at most 1. Independent or positively dependent.
    """
    return _adjusted(p, len(p) / np.arange(1.0, len(p) + 1), upwards=False)


def _adjusted(p: np.ndarray, factors: np.ndarray, *, upwards: bool) -> np.ndarray:
    """p in ascending order times the factors, made monotone from below or from above."""
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise InvalidInput("p", p.tolist(), "a row of numbers in [0, 1]")
    order = np.argsort(p, kind="stable")
    raised = np.minimum(p[order] * factors, 1.0)
    if upwards:
        monotone = np.maximum.accumulate(raised)
    else:
        monotone = np.minimum.accumulate(raised[::-1])[::-1]
    back = np.empty_like(monotone)
    back[order] = monotone
    return back
