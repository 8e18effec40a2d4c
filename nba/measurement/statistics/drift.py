"""Drift of a column: its distribution now against a reference, by an index with its noise."""

from __future__ import annotations

import msgspec
import numpy as np
from scipy.special import chdtrc, chdtri

from nba.errors import InvalidInput
from nba.measurement.statistics.estimate import Undecided

BINS = 10
LEVEL = 0.04  # so that false alarms, a few more than the limit's approximation has, are under 5 %
MATERIAL = 0.1  # an index below which a shift is small by custom, however certain
MIN_PER_BIN = 5.0  # expected values; bins with fewer are joined with their neighbour


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a column between edges; days and shards add up.

    Bin i holds edges[i - 1] < value <= edges[i], the first and the last are open, and one more bin
    at the end holds what is missing (NaN).
    """

    edges: tuple[float, ...]  # k ascending edges, for k + 1 bins and the one for missing
    counts: tuple[int, ...]

    def __add__(self, other: Histogram) -> Histogram:
        if self.edges != other.edges:
            raise InvalidInput("edges", list(other.edges), "those of the other histogram")
        both = zip(self.counts, other.counts, strict=True)
        return Histogram(edges=self.edges, counts=tuple(a + b for a, b in both))

    @property
    def n(self) -> int:
        return sum(self.counts)


class StabilityIndex(msgspec.Struct, frozen=True, kw_only=True):
    """The population stability index, and what it may be by chance."""

    psi: float
    limit: float  # above it the column has drifted
    noise: float  # its mean where nothing has: (bins - 1) (1 / n + 1 / m)
    p: float  # of "nothing has drifted"
    n: int  # of the reference
    m: int  # of now

    @property
    def drifted(self) -> bool:
        return self.psi > self.limit


def quantile_edges(reference: np.ndarray, bins: int = BINS) -> tuple[float, ...]:
    """The quantiles of (n,) reference values that cut them into `bins`, each edge once.

    Missing values are left out: they have a bin of their own.
    """
    known = reference[~np.isnan(reference)]
    if len(known) == 0:
        return ()
    cuts = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf"))
    return tuple(cuts[cuts < known.max()].tolist())


def histogram(values: np.ndarray, edges: tuple[float, ...]) -> Histogram:
    """The counts of (n,) values."""
    missing = np.isnan(values)
    bin_of = np.searchsorted(np.array(edges), values[~missing], side="left")
    counts = np.bincount(bin_of, minlength=len(edges) + 1)
    return Histogram(edges=edges, counts=(*counts.tolist(), int(missing.sum())))


def index(reference: np.ndarray, now: np.ndarray) -> float:
    """sum (q - p) log(q / p) of two rows of shares that are all above 0."""
    return float(((now - reference) * np.log(now / reference)).sum())


def stability_index(
    reference: Histogram, now: Histogram, *, material: float = MATERIAL, level: float = LEVEL
) -> StabilityIndex | Undecided:
    """The index of two histograms, with a limit that follows their sizes.

    One of twenty columns that have not drifted may pass it: correct the p of many columns. Without
    drift the index is (1 / n + 1 / m) chi-square with bins - 1 degrees of freedom, in the
    limit of many; its upper `level` quantile is the limit where it is above `material`, which is
    what a large sample is held to. Yurdakul and Naranjo, Statistical properties of the population
    stability index, Journal of Risk Model Validation 2020. Bins of few are joined; half a count is
    added to each, so that an empty bin has an index. Raises InvalidInput for other edges.
    """
    if reference.edges != now.edges:
        raise InvalidInput(
            "edges", list(now.edges), "cut both columns by the reference's quantiles"
        )
    before, after = _joined(reference, now)
    n, m = float(before.sum()), float(after.sum())
    if len(before) < 2:
        return Undecided(
            reason=f"{n:.0f} and {m:.0f} values fill one bin: too few, or all the same"
        )
    bins, noise = len(before), 1.0 / n + 1.0 / m
    p, q = (before + 0.5) / (n + bins / 2), (after + 0.5) / (m + bins / 2)
    psi = index(p, q)
    quantile = float(chdtri(bins - 1, level))
    return StabilityIndex(
        psi=psi,
        limit=max(material, noise * quantile),
        noise=(bins - 1) * noise,
        p=float(chdtrc(bins - 1, psi / noise)),
        n=int(n),
        m=int(m),
    )


def _joined(reference: Histogram, now: Histogram) -> tuple[np.ndarray, np.ndarray]:
    """Counts of both, neighbours joined until the smaller sample expects enough in each bin."""
    before, after = np.array(reference.counts, float), np.array(now.counts, float)
    n, m = before.sum(), after.sum()
    if min(n, m) == 0.0:
        return before[:0], after[:0]
    pooled = (before + after) / (n + m) * min(n, m)
    starts, filled = [0], 0.0
    for start, expected in enumerate(pooled):
        if filled >= MIN_PER_BIN and pooled[start:].sum() >= MIN_PER_BIN:
            starts.append(start)
            filled = 0.0
        filled += expected
    return np.add.reduceat(before, starts), np.add.reduceat(after, starts)
