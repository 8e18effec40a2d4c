"""Cross-fitting: a reward model's predictions for customers whose rows it has not seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nba.errors import InvalidInput
from nba.measurement.off_policy.logged_decisions import Floats

FOLDS = 5


class Regressor(Protocol):
    """What scikit-learn and LightGBM call a regressor."""

    def fit(self, rows: Floats, rewards: Floats) -> Any:
        """Learn from (n, d) rows and (n,) rewards."""

    def predict(self, rows: Floats) -> Floats:
        """(n,) expected rewards."""


class CandidateRows(NamedTuple):
    """The candidates of n decisions, flat; `rows(m)` gives the inputs of those at positions m."""

    of: NDArray[np.int64]  # (k,) the decision of each
    rows: Callable[[NDArray[np.int64]], Floats]


class CrossFitted(NamedTuple):
    """Predictions by models that have not seen the customer."""

    logged: Floats  # (n,) of the drawn actions
    offered: Floats  # (k,) of all candidates

    def expected(self, offered: CandidateRows, probabilities: Floats) -> Floats:
        """(n,) sum_a pi(a | x) q(x, a), of (k,) probabilities of the candidates."""
        expected = probabilities * self.offered
        sums = np.bincount(offered.of, weights=expected, minlength=len(self.logged))
        return sums.astype(np.float64)


def cross_fit(
    make: Callable[[int], Regressor],
    rows: Floats,
    rewards: Floats,
    customers: np.ndarray,
    offered: CandidateRows,
    *,
    folds: int = FOLDS,
    seed: int = 1,
) -> CrossFitted:
    """Fit on all folds of customers but one, predict on that one, for each fold.

    `make(fold)`: a new regressor. `rows` (n, d): context and drawn action. Chernozhukov et al.,
    Double/debiased machine learning, Econometrics Journal 2018, definition 3.2. Raises
    InvalidInput where a fold would leave nobody to learn from.
    """
    fold = customer_folds(customers, folds, seed)
    found = CrossFitted(np.zeros(len(rewards)), np.zeros(len(offered.of)))
    for held in np.unique(fold).tolist():
        mine = fold == held
        if mine.all():
            raise InvalidInput("customers", len(np.unique(customers)), f"more than {folds}")
        model = make(held).fit(rows[~mine], rewards[~mine])
        found.logged[mine] = model.predict(rows[mine])
        asked = np.flatnonzero(mine[offered.of])
        if len(asked):
            found.offered[asked] = model.predict(offered.rows(asked))
    return found


def customer_folds(customers: np.ndarray, folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) a fold of each customer, the same whatever other customers there are."""
    known = {one: _drawn(f"{seed}:{one}") % folds for one in np.unique(customers).tolist()}
    return np.array([known[one] for one in np.asarray(customers).tolist()], dtype=np.int64)


def _drawn(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
