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
    fitted = CrossFitted(np.zeros(len(rewards)), np.zeros(len(offered.of)))
    for held_out in np.unique(fold).tolist():
        test = fold == held_out
        if test.all():
            raise InvalidInput("customers", len(np.unique(customers)), f"more than {folds}")
        model = make(held_out).fit(rows[~test], rewards[~test])
        fitted.logged[test] = model.predict(rows[test])
        candidates = np.flatnonzero(test[offered.of])
        if len(candidates):
            fitted.offered[candidates] = model.predict(offered.rows(candidates))
    return fitted


def customer_folds(customers: np.ndarray, folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) a fold of each customer, the same whatever other customers there are."""
    fold_of = {
        customer: _hash(f"{seed}:{customer}") % folds for customer in np.unique(customers).tolist()
    }
    return np.array(
        [fold_of[customer] for customer in np.asarray(customers).tolist()], dtype=np.int64
    )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
