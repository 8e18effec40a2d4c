"""What a customer had lived through at each visit: sums over lags, by arrays.

A visit's own lag is 1, that of the visit before it 2. The past holds earlier visits and the visit
itself, never a later one, so that nothing here knows the outcome.
"""

from __future__ import annotations

import numpy as np

MAX_SHRINKAGE = 100.0  # visits; beyond, customers hardly differ


class VisitHistory:
    """The past of n visits, sorted by customer and time; `customers` are (n,) codes."""

    def __init__(self, customers: np.ndarray) -> None:
        n = len(customers)
        first = np.ones(n, dtype=bool)
        first[1:] = customers[1:] != customers[:-1]
        self.customers = customers
        self._row = np.arange(n)
        self._start = np.maximum.accumulate(np.where(first, self._row, 0))
        self.length = self._row - self._start + 1  # (n,) visits so far, this one among them

    def count(self, first: int, last: int) -> np.ndarray:
        """How many visits lie at the lags `first` to `last`, (n,)."""
        return np.clip(self.length - first + 1, 0, last - first + 1)

    def total(self, values: np.ndarray, first: int, last: int) -> np.ndarray:
        """The sum of the values at these lags, (n,); 0 where there is no such visit."""
        sums = np.concatenate([[0.0], np.cumsum(values)])
        below = np.maximum(self._row - last + 1, self._start)
        above = np.maximum(self._row - first + 2, below)
        return np.asarray(sums[above] - sums[below])

    def everything(self, values: np.ndarray) -> np.ndarray:
        """The sum over the whole past, (n,)."""
        return self.total(values, 1, max(len(values), 1))

    def trough(self, values: np.ndarray, last: int) -> np.ndarray:
        """The least value at the lags 1 to `last`, (n,)."""
        least = values.copy()
        for lag in range(1, last):
            there = self.length > lag
            least[there] = np.minimum(least[there], values[self._row[there] - lag])
        return least

    def faded(self, values: np.ndarray, memory: float, last: int) -> np.ndarray:
        """sum over lags l = 2..last of memory^(l - 1) value_l, (n,)."""
        total = np.zeros(len(values))
        for lag in range(1, last):
            there = self.length > lag
            total[there] += memory**lag * values[self._row[there] - lag]
        return total

    def own_mean(self, values: np.ndarray) -> np.ndarray:
        """Each customer's mean so far, shrunk to 0 by m / (m + k) after m visits, (n,).

        k = variance within customers / variance between them, by one-way analysis of variance:
        Buehlmann and Gisler, A Course in Credibility Theory, section 4.8. Under a fixed trait it
        is the best linear guess of that trait, and each visit weighs the same whatever its lag.
        """
        shrunk: np.ndarray = self.everything(values) / (
            self.length + _shrinkage(self.customers, values)
        )
        return shrunk


def _shrinkage(customers: np.ndarray, values: np.ndarray) -> float:
    _, codes = np.unique(customers, return_inverse=True)
    visits = np.bincount(codes).astype(float)
    means = np.bincount(codes, values) / visits
    spare = len(values) - len(visits)
    if spare < 1 or len(visits) < 2:
        return MAX_SHRINKAGE
    within = float(((values - means[codes]) ** 2).sum()) / spare
    squares = float((visits * (means - values.mean()) ** 2).sum()) / (len(visits) - 1)
    typical = (len(values) - float((visits**2).sum()) / len(values)) / (len(visits) - 1)
    between = (squares - within) / typical
    return MAX_SHRINKAGE if between * MAX_SHRINKAGE <= within else within / between
