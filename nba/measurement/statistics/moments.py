"""The sums of one arm of an experiment, one value a customer, and the means that come of them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from nba.errors import InvalidInput


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the customers of one arm: of a metric y and of a second column x.

    x is what was known of the customer before the experiment (CUPED), or the denominator of a
    ratio, or not there. Shards, segments and days add up, `a + b`, where each holds customers of
    its own: a customer is one row, whatever the number of their decisions.
    """

    n: int = 0  # customers
    y: float = 0.0
    y2: float = 0.0
    x: float = 0.0
    x2: float = 0.0
    xy: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            n=self.n + other.n,
            y=self.y + other.y,
            y2=self.y2 + other.y2,
            x=self.x + other.x,
            x2=self.x2 + other.x2,
            xy=self.xy + other.xy,
        )

    @property
    def variance_y(self) -> float:
        return _sample_covariance(self.y2, self.y, self.y, self.n)

    @property
    def variance_x(self) -> float:
        return _sample_covariance(self.x2, self.x, self.x, self.n)

    @property
    def covariance(self) -> float:
        return _sample_covariance(self.xy, self.x, self.y, self.n)


class SampleMean(NamedTuple):
    """A mean per customer, with the variance of one customer around it."""

    mean: float
    variance: float
    n: int  # customers

    @property
    def error2(self) -> float:
        """The squared standard error of the mean; infinite where there is no customer."""
        return self.variance / self.n if self.n else float("inf")


def moments(y: np.ndarray, x: np.ndarray | None = None) -> Moments:
    """The sums of (n,) values, one a customer. Raises InvalidInput for an x of another shape."""
    if x is None:
        return Moments(n=len(y), y=float(y.sum()), y2=float(y @ y))
    if x.shape != y.shape:
        raise InvalidInput("x", x.shape, f"one value a customer, as y: {y.shape}")
    return Moments(
        n=len(y),
        y=float(y.sum()),
        y2=float(y @ y),
        x=float(x.sum()),
        x2=float(x @ x),
        xy=float(x @ y),
    )


def per_customer(customers: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(totals, rows) per customer, of (n,) rows; customers in the order of their codes.

    The totals are what `moments` takes; with the rows as x, `ratio_mean` is the mean of one row.
    """
    codes = np.unique(customers, return_inverse=True)[1]
    return np.bincount(codes, weights=values), np.bincount(codes).astype(float)


def sample_mean(sums: Moments) -> SampleMean:
    """The mean of y."""
    return SampleMean(sums.y / sums.n if sums.n else 0.0, max(sums.variance_y, 0.0), sums.n)


def proportion(successes: int, n: int) -> SampleMean:
    """A share of customers, with the variance p (1 - p). Raises InvalidInput for none."""
    if not 0 <= successes <= n:
        raise InvalidInput("successes", successes, f"between 0 and the {n} customers")
    p = successes / n if n else 0.0
    return SampleMean(p, p * (1.0 - p), n)


def ratio_mean(sums: Moments) -> SampleMean:
    """sum y / sum x, such as clicks per decision, with customers as the units.

    Delta method: (var y - 2 r cov + r^2 var x) / mean(x)^2. Deng, Knoblich and Lu, Applying the
    Delta Method in Metric Analytics, KDD 2018, section 3.
    """
    if sums.x == 0.0:
        return SampleMean(0.0, 0.0, 0)
    value = sums.y / sums.x
    variance = sums.variance_y - 2.0 * value * sums.covariance + value**2 * sums.variance_x
    return SampleMean(value, max(variance, 0.0) / (sums.x / sums.n) ** 2, sums.n)


def cuped_means(a: Moments, b: Moments) -> tuple[SampleMean, SampleMean]:
    """CUPED: the means of both arms without what x, known before, explains.

    y - theta (x - mean x), theta = cov / var and the mean of x over both arms together. Deng, Xu,
    Kohavi and Walker, Improving the Sensitivity of Online Controlled Experiments, WSDM 2013.
    """
    both = a + b
    variance_x = both.variance_x
    theta = both.covariance / variance_x if variance_x > 0.0 else 0.0
    centre = both.x / both.n if both.n else 0.0

    def adjusted(sums: Moments) -> SampleMean:
        if sums.n == 0:
            return SampleMean(0.0, 0.0, 0)
        mean = (sums.y - theta * sums.x) / sums.n + theta * centre
        variance = sums.variance_y - 2.0 * theta * sums.covariance + theta**2 * sums.variance_x
        return SampleMean(mean, max(variance, 0.0), sums.n)

    return adjusted(a), adjusted(b)


def _sample_covariance(product: float, u: float, v: float, n: int) -> float:
    """sum (u - mean u) (v - mean v) / (n - 1); 0 where there are fewer than two."""
    return (product - u * v / n) / (n - 1) if n > 1 else 0.0
