"""The features of the residual: which columns it reads, and how they are scaled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from nba.durations import DAY_S
from nba.engine.policy import Floats

Indices = NDArray[np.int64]
MAX_DEVIATIONS = (
    5.0  # standard deviations: what lies further counts as this far, so that no value rules a sum
)
LEAST_P = 1e-3  # the score's logit is taken no further out
LEAST_VARIANCE = 0.02  # of a response whose probability is near 0 or 1
MOST_PRODUCTS = 160  # beyond so many, `fit_spec` leaves products out: A grows with their square


class ResidualSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the residual is a linear function of, d = `size` features with a leading 1.

    Columns of the context, standardised with what training saw; a missing value is average. Where
    `with_score`, the batch score too: the logit of a probability, or the value as it is.
    """

    columns: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    target: Literal["probability", "value"] = "probability"
    variance_eur2: float = 1.0  # of a value around its score; not read for probabilities
    with_score: bool = True
    score_mean: float = 0.0
    score_deviation: float = 1.0
    products: bool = False  # of every two columns, and their squares
    half_life_days: float | None = None  # what is this old counts half; None: all counts the same

    @property
    def linear(self) -> int:
        """How many features are no products: they come first."""
        return 1 + len(self.columns) + self.with_score

    @property
    def size(self) -> int:
        return self.linear + (products_of(len(self.columns)) if self.products else 0)

    @property
    def half_life_s(self) -> float | None:
        return None if self.half_life_days is None else self.half_life_days * DAY_S

    @property
    def unit(self) -> float:
        """The unit of priors: 1 for probabilities, a standard deviation in EUR for values."""
        return 1.0 if self.target == "probability" else float(np.sqrt(self.variance_eur2))

    def features(self, values: Floats, p0: Floats) -> Floats:
        """(n, d) from (n, len(columns)) context values and (n,) batch scores.

        (1, len(columns)) values stand for one context with n scores.
        """
        end = 1 + len(self.columns)
        z = (values - np.array(self.means)) / np.array(self.deviations)
        z[np.isnan(z)] = 0.0
        x = np.empty((len(p0), self.size))
        x[:, 0] = 1.0
        x[:, 1:end] = _clip(z)
        if self.with_score:
            score = (self._score(p0) - self.score_mean) / self.score_deviation
            x[:, end] = _clip(score)
        if self.products:
            x[:, self.linear :] = _products(x[: len(z), 1:end])
        return x

    def variance(self, p0: Floats) -> Floats:
        """(n,) how much rewards vary around their scores."""
        if self.target == "value":
            return np.full(len(p0), self.variance_eur2)
        variance: Floats = np.maximum(p0 * (1.0 - p0), LEAST_VARIANCE)
        return variance

    def _score(self, p0: Floats) -> Floats:
        if self.target == "value":
            return p0
        log_odds: Floats = logit(np.clip(p0, LEAST_P, 1.0 - LEAST_P))
        return log_odds


def fit_spec(
    columns: Sequence[str],
    values: Floats,
    p0: Floats,
    *,
    target: Literal["probability", "value"] = "probability",
    variance_eur2: float = 1.0,
    with_score: bool = True,
    products: bool | None = None,
    half_life_days: float | None = None,
) -> ResidualSpec:
    """A spec that standardises with (n, len(columns)) values and (n,) scores of a training set.

    `products` None: where there are at most MOST_PRODUCTS of them.
    """
    plain = ResidualSpec(columns=(), means=(), deviations=(), target=target)
    scores = plain._score(p0)
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    means = known_means(values)
    spread = np.sqrt((np.where(known, values - means, 0.0) ** 2).sum(axis=0) / count)
    return ResidualSpec(
        columns=tuple(columns),
        means=tuple(means.tolist()),
        deviations=tuple(np.where(spread > 0.0, spread, 1.0).tolist()),
        target=target,
        variance_eur2=variance_eur2,
        with_score=with_score,
        score_mean=float(scores.mean()),
        score_deviation=float(scores.std()) or 1.0,
        products=products_of(len(columns)) <= MOST_PRODUCTS if products is None else products,
        half_life_days=half_life_days,
    )


def known_means(values: Floats) -> Floats:
    """(c,) of (n, c) values the means of those that are known; 0 where none is."""
    known = ~np.isnan(values)
    means: Floats = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return means


def products_of(columns: int) -> int:
    """How many products so many columns have, their squares included."""
    return columns * (columns + 1) // 2


def _products(z: Floats) -> Floats:
    """(n, products) of (n, c) standardised columns; a square is centred and scaled as of a normal.

    They reach no further than the columns do.
    """
    left, right, shift, scale = _pairs(z.shape[1])
    products = z.take(left, axis=1)
    products *= z.take(right, axis=1)
    products -= shift
    products *= scale
    return _clip(products)


@cache
def _pairs(columns: int) -> tuple[Indices, Indices, Floats, Floats]:
    """The two columns of each product, and what centres and scales it."""
    left, right = np.triu_indices(columns)
    square = left == right
    return left, right, square.astype(float), np.where(square, np.sqrt(0.5), 1.0)


def _clip(z: Floats) -> Floats:
    """In place; faster than np.clip on a few numbers."""
    np.minimum(z, MAX_DEVIATIONS, out=z)
    return np.maximum(z, -MAX_DEVIATIONS, out=z)
