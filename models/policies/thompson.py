"""Thompson: each candidate is drawn with the probability that it is the best."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.special import ndtr

from models.policies.greedy import evenly
from nba.engine.policy import Floats, Worth

REACH = 6.0  # standard deviations that count; 1e-9 of a normal lies below
PANEL = 2.0  # width of a panel in its smallest standard deviation
LEAST = 1e-12  # of the largest spread: less counts as none, since a float64 could not tell
PANEL_NODES = 5
NODES_A_DEVIATION = 1.6  # of the smallest spread, over the whole range, while they are not too many
MOST_NODES = 96
DENSITY = 1.0 / np.sqrt(2.0 * np.pi)


class Thompson:
    """p_i = P(i is the best), all worths independent normals (mean, (scale x spread)^2).

    It explores new actions by itself. These are the probabilities that Thompson sampling has as
    frequencies in the long run. `scale` below 1 explores less than the posterior asks for; .25 was
    measured good where a batch model has been trained.

    Thompson, On the likelihood that one unknown probability exceeds another, Biometrika 1933;
    Scott, A modern Bayesian look at the multi-armed bandit, 2010, section 3.1 (the integral).
    """

    def __init__(self, scale: float = 0.25) -> None:
        self.scale = scale
        self.name = f"thompson({scale:g})"

    def probabilities(self, worth: Worth) -> Floats:
        return best_probabilities(worth.mean_eur, self.scale * worth.spread_eur)


def best_probabilities(mean: Floats, spread: Floats) -> Floats:
    """(n,) P(i is the best) of independent normals, to about 1e-6.

    p_i is the integral of i's density times the others' distribution functions, by Gauss and
    Legendre, on panels as narrow as what changes there where the spreads are very unequal. The
    largest of certain values cuts it off, and has the probability that all others are below.
    Exact ties share evenly. Never NaN for finite means and spreads.
    """
    widest = spread.max()
    if widest <= 0.0:
        return evenly(mean == mean.max())
    with np.errstate(over="ignore"):  # a gap larger than a float64: never the best
        mean = (mean - mean.max()) / widest
    spread = spread / widest
    low = (mean - REACH * spread).max()  # the best is above, almost surely
    certain = spread < LEAST
    p = np.zeros(len(mean))
    uncertain = np.flatnonzero((mean + REACH * spread > low) & ~certain)
    if len(uncertain) == 0:
        return evenly(mean == mean.max())
    m, s = mean[uncertain], spread[uncertain]
    if certain.any():
        best_certain = mean[certain].max()
        if best_certain >= low:
            low = best_certain
            tied = certain & (mean == best_certain)
            p[tied] = ndtr((best_certain - m) / s).prod() / np.count_nonzero(tied)
    if (m + REACH * s).max() > low:
        p[uncertain] = _integrals(m, s, low)
    normalised: Floats = p / p.sum()
    return normalised


def _integrals(mean: Floats, spread: Floats, low: float) -> Floats:
    """(n,) of each density times the others' distribution functions, above `low`."""
    high = (mean + REACH * spread).max()
    count = math.ceil(NODES_A_DEVIATION * (high - low) / spread.min())
    if count <= MOST_NODES:
        points, shares = _quadrature(-(-count // 8) * 8)
        nodes, weights = low + (high - low) * points, (high - low) * shares
    else:
        nodes, weights = _panels(mean, spread, low)
    z = (nodes - mean[:, None]) / spread[:, None]
    below = ndtr(z)
    density = np.exp(-0.5 * z * z) / below
    integrals: Floats = (density * (below.prod(axis=0) * weights)).sum(axis=1)
    integrals *= DENSITY / spread
    return integrals


def _panels(mean: Floats, spread: Floats, low: float) -> tuple[Floats, Floats]:
    """Nodes and weights above `low`, on panels as narrow as the narrowest density that is there."""
    ends = np.concatenate([mean - REACH * spread, mean + REACH * spread])
    edges = np.unique(np.maximum(ends, low))
    begin, width = edges[:-1], np.diff(edges)
    middle = begin + width / 2
    touches = np.abs(middle - mean[:, None]) < REACH * spread[:, None]
    narrowest = np.where(touches, spread[:, None], np.inf).min(axis=0)
    counts = np.ceil(width / (PANEL * narrowest)).astype(np.int64)  # 0 where no density reaches
    panel = np.repeat(width / np.maximum(counts, 1), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    start = np.repeat(begin, counts) + (np.arange(len(panel)) - first) * panel
    points, shares = _quadrature(PANEL_NODES)
    nodes = start[:, None] + panel[:, None] * points
    return nodes.ravel(), (panel[:, None] * shares).ravel()


@cache
def _quadrature(nodes: int) -> tuple[Floats, Floats]:
    """Gauss and Legendre's nodes and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return (1.0 + points) / 2, weights / 2
