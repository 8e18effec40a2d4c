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
LEAST = 1e-12  # of the largest spread: less is none, since a float64 could not tell
PANEL_NODES = 5
NODES_A_DEVIATION = 1.6  # of the smallest spread, over the whole range, while they are not too many
MOST_NODES = 96
DENSITY = 1.0 / np.sqrt(2.0 * np.pi)


class Thompson:
    """p_i = P(i is the best), all worths independent normals (mean, (scale x spread)^2).

    It widens on what is new by itself, and gives the probabilities that Thompson sampling has
    only in the long run. `scale` below 1 explores less than the posterior asks for; .25 was
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
    with np.errstate(over="ignore"):  # further below than a float64 can say: never the best
        mean = (mean - mean.max()) / widest
    spread = spread / widest
    low = (mean - REACH * spread).max()  # somebody is above, almost surely
    certain = spread < LEAST
    found = np.zeros(len(mean))
    at = np.flatnonzero((mean + REACH * spread > low) & ~certain)
    if len(at) == 0:
        return evenly(mean == mean.max())
    m, s = mean[at], spread[at]
    if certain.any():
        surest = mean[certain].max()
        if surest >= low:
            low = surest
            tied = certain & (mean == surest)
            found[tied] = ndtr((surest - m) / s).prod() / np.count_nonzero(tied)
    if (m + REACH * s).max() > low:
        found[at] = _integrals(m, s, low)
    share: Floats = found / found.sum()
    return share


def _integrals(mean: Floats, spread: Floats, low: float) -> Floats:
    """(n,) of each density times the others' distribution functions, above `low`."""
    high = (mean + REACH * spread).max()
    count = math.ceil(NODES_A_DEVIATION * (high - low) / spread.min())
    if count <= MOST_NODES:
        unit, shares = _rule(-(-count // 8) * 8)
        nodes, weights = low + (high - low) * unit, (high - low) * shares
    else:
        nodes, weights = _panels(mean, spread, low)
    apart = (nodes - mean[:, None]) / spread[:, None]
    below = ndtr(apart)
    density = np.exp(-0.5 * apart * apart) / below
    found: Floats = (density * (below.prod(axis=0) * weights)).sum(axis=1)
    found *= DENSITY / spread
    return found


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
    unit, shares = _rule(PANEL_NODES)
    return (start[:, None] + panel[:, None] * unit).ravel(), (panel[:, None] * shares).ravel()


@cache
def _rule(nodes: int) -> tuple[Floats, Floats]:
    """Gauss and Legendre's nodes and weights on [0, 1]."""
    at, weights = np.polynomial.legendre.leggauss(nodes)
    return (1.0 + at) / 2, weights / 2
