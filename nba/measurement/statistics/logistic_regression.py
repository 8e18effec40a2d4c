"""Logistic regression by Newton's method: a Gaussian prior where one is known, and errors that
are honest about several rows of one customer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_STEPS = 50
TOLERANCE = 1e-10  # of the Newton decrement
_HALVINGS = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticFit:
    """Weights with their covariances; k columns, in the order of the design."""

    weights: np.ndarray  # (k,)
    covariance: np.ndarray  # (k, k), by customer where customers were given, else the inverse
    information: np.ndarray  # (k, k), the curvature of the penalised log-likelihood
    log_likelihoods: np.ndarray  # (n,), of each row, without the prior
    clusters: int

    def wald(self, columns: list[int]) -> tuple[float, float]:
        """Chi-square and p-value of "these weights are all 0"."""
        from scipy.special import chdtrc

        weights = self.weights[columns]
        square = self.covariance[np.ix_(columns, columns)]
        chi2 = float(weights @ np.linalg.pinv(square, hermitian=True) @ weights)
        return chi2, float(chdtrc(len(columns), chi2))

    def standard_error(self, contrast: np.ndarray) -> float:
        """Of contrast @ weights, for a contrast of shape (k,)."""
        return float(np.sqrt(max(contrast @ self.covariance @ contrast, 0.0)))


def fit_logistic(
    design: np.ndarray,
    labels: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    precision: np.ndarray | None = None,
    mean: np.ndarray | None = None,
    row_weights: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> LogisticFit:
    """argmax_w sum_i c_i log p(y_i | x_i w) - 1/2 (w - mean)' precision (w - mean).

    `design` (n, k) holds its own column of ones; `labels` (n,) bool; `clusters` (n,) integer
    codes; `precision` (k, k), or (k,) for its diagonal; `mean` (k,); both 0 where not given;
    `row_weights` (n,). With clusters, the covariance is the sandwich
    H^-1 (sum_g s_g s_g') H^-1 G / (G - 1) of the scores s_g of the G clusters: Cameron and
    Miller, A Practitioner's Guide to Cluster-Robust Inference, Journal of Human Resources 2015,
    section II. Newton steps are halved until they improve: Boyd and Vandenberghe, Convex
    Optimization, section 9.5. Raises ValueError for labels of another length.
    """
    n, k = design.shape
    if labels.shape != (n,):
        raise ValueError(f"labels have the shape {labels.shape}, the design has {n} rows")
    target = labels.astype(float)
    counts = np.ones(n) if row_weights is None else row_weights
    ridge = np.zeros((k, k)) if precision is None else np.asarray(precision)
    ridge = np.diag(ridge) if ridge.ndim == 1 else ridge
    centre = np.zeros(k) if mean is None else mean
    weights = np.zeros(k) if start is None else start.copy()
    signs = 2.0 * target - 1.0

    def objective(at: np.ndarray) -> float:
        loss = np.logaddexp(0.0, -signs * (design @ at))
        return float(-counts @ loss - 0.5 * (at - centre) @ ridge @ (at - centre))

    value = objective(weights)
    for _ in range(MAX_STEPS):
        p, information = _curvature(design, counts, ridge, weights)
        gradient = design.T @ (counts * (target - p)) - ridge @ (weights - centre)
        step = np.linalg.lstsq(information, gradient, rcond=1e-12)[0]
        if gradient @ step < TOLERANCE:
            break
        for _ in range(_HALVINGS):
            new = objective(weights + step)
            if new >= value:
                break
            step = 0.5 * step
        weights, value = weights + step, new
    p, information = _curvature(design, counts, ridge, weights)
    bread = np.linalg.pinv(information, hermitian=True)
    covariance, groups = bread, n
    if clusters is not None:
        groups, scores = _sums(clusters, design * (counts * (target - p))[:, None])
        covariance = bread @ (scores.T @ scores) @ bread * groups / max(groups - 1, 1)
    return LogisticFit(
        weights=weights,
        covariance=covariance,
        information=information,
        log_likelihoods=-np.logaddexp(0.0, -signs * (design @ weights)),
        clusters=groups,
    )


def _curvature(
    design: np.ndarray, counts: np.ndarray, ridge: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n,) and the information (k, k) at these weights."""
    p = np.exp(-np.logaddexp(0.0, -(design @ weights)))
    information = (design * (counts * p * (1.0 - p))[:, None]).T @ design + ridge
    return p, information


def _sums(clusters: np.ndarray, rows: np.ndarray) -> tuple[int, np.ndarray]:
    """The number of clusters, and the sums of their rows: (n_clusters, k)."""
    codes, inverse = np.unique(clusters, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(len(codes)))
    return len(codes), np.add.reduceat(rows[order], starts, axis=0)
