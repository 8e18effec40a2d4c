"""The residual's prior, fitted to its own sums, and the posterior that decisions are made with.

Empirical Bayes: the standard deviations of intercepts and slopes are those under which the sums of
all actions are most likely. Where the batch score needs no correction it finds small ones, and the
residual switches itself off. Bishop, Pattern Recognition and Machine Learning (2006), section 3.5.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
import numpy as np
from scipy.linalg import lapack

from models.residual.discount import CountedSums
from models.residual.features import ResidualSpec
from models.residual.sums import Codes, ResidualSums
from nba.engine.policy import Floats

BOUNDS = {  # of each standard deviation, in units of the spec: 1 for probabilities
    "intercept": (0.025, 0.8),
    "slope": (0.003, 0.4),
    "product": (0.0015, 0.4),
}
DOUBLINGS = 2.0  # standard deviation of a scale about its centre
NEW_INTERCEPT = 0.05  # of an action that the batch model has not seen, at least
GATHERED = 50_000  # numbers of `root` copied for a decision; where more, they are read in place


class ResidualPrior(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Standard deviations of what the residual may be, around 0, in units of the spec."""

    intercept: float = 0.05
    slope: float = 0.025
    product: float = 0.0125
    nats: float = 0.0  # log evidence over a residual of nothing

    def precision(self, spec: ResidualSpec) -> Floats:
        """(d,) the diagonal of the prior's precision."""
        deviations = np.full(spec.size, self.slope)
        deviations[0] = self.intercept
        deviations[spec.linear :] = self.product
        precision: Floats = (deviations * spec.unit) ** -2.0
        return precision


def fit_prior(
    sums: ResidualSums | CountedSums,
    as_of_s: float,
    start: ResidualPrior | None = None,
    *,
    centre: ResidualPrior | None = None,
) -> ResidualPrior:
    """The prior under which the sums are most likely, `start` where they are empty.

    One scale after the other is doubled or halved as long as that raises the evidence: the sum over
    actions of .5 b'(A + L)^-1 b - .5 ln|A + L| + .5 ln|L|. `centre`: where the scales are thought
    to be before there is evidence, within DOUBLINGS; None: anywhere.
    """
    best = start or ResidualPrior()
    exposed = sums.exposed > 0
    if not exposed.any():
        return best
    precision, moment = sums.decayed(as_of_s)
    a, b = precision[exposed], moment[exposed]

    def with_evidence(prior: ResidualPrior) -> ResidualPrior:
        nats = _evidence(a, b, prior.precision(sums.spec))
        return msgspec.structs.replace(prior, nats=nats - _surprise(prior, centre))

    best = with_evidence(best)
    names = [name for name in BOUNDS if name != "product" or sums.spec.products]
    improved = True
    while improved:
        improved = False
        for name in names:
            least, most = BOUNDS[name]
            for factor in (2.0, 0.5):
                while least <= (value := getattr(best, name) * factor) <= most:
                    candidate = with_evidence(msgspec.structs.replace(best, **{name: value}))
                    if candidate.nats <= best.nats:
                        break
                    best, improved = candidate, True
    return best


def _surprise(prior: ResidualPrior, centre: ResidualPrior | None) -> float:
    """Nats by which scales are less likely than those of the centre: a lognormal about them."""
    if centre is None:
        return 0.0
    doublings = [np.log2(getattr(prior, name) / getattr(centre, name)) for name in BOUNDS]
    return float(0.5 * (np.array(doublings) ** 2).sum() / DOUBLINGS**2)


def _evidence(a: Floats, b: Floats, precision: Floats) -> float:
    """From the Cholesky root of [A + L, b; b', large], whose last row is the root of A + L
    solved for b."""
    k, d = b.shape
    bordered = np.empty((k, d + 1, d + 1))
    bordered[:, :d, :d] = a
    bordered[:, range(d), range(d)] += precision
    bordered[:, d, :d] = b
    bordered[:, d, d] = 1.0 + (b**2 / precision).sum(axis=1)
    root = np.linalg.cholesky(bordered)
    logs = np.log(np.diagonal(root, axis1=1, axis2=2)[:, :d]).sum()
    return float(0.5 * (root[:, d, :d] ** 2).sum() - logs + 0.5 * k * np.log(precision).sum())


@dataclass(frozen=True, slots=True, eq=False)
class ResidualPosterior:
    """A snapshot of the residual under its prior, to decide with."""

    spec: ResidualSpec
    prior: ResidualPrior
    theta: Floats  # (k, d)
    root: Floats  # (k, d, d), with root' root the covariance of theta
    exposures: float

    @classmethod
    def of(
        cls,
        sums: ResidualSums | CountedSums,
        prior: ResidualPrior,
        as_of_s: float,
        new: Collection[int] = (),
    ) -> ResidualPosterior:
        """The sums under this prior; `new`: codes of actions that the batch model has not seen."""
        precision, moment = sums.decayed(as_of_s)
        k, d = moment.shape
        added = np.tile(prior.precision(sums.spec), (k, 1))
        added[list(new), 0] = (max(prior.intercept, NEW_INTERCEPT) * sums.spec.unit) ** -2.0
        total = precision.copy()
        total[:, range(d), range(d)] += added
        root = np.linalg.cholesky(total).astype(np.float64, copy=False)
        for code in range(k):
            root[code] = lapack.dtrtri(root[code], lower=1)[0]
        theta = (root.transpose(0, 2, 1) @ (root @ moment[..., None]))[..., 0]
        return cls(sums.spec, prior, theta, root, sums.exposures)

    def correct(self, x: Floats, codes: Codes, p0: Floats) -> tuple[Floats, Floats]:
        """(mean, spread), both (n,), from (n, d) features, (n,) codes and batch scores.

        The mean of a probability stays between 0 and 1.
        """
        mean = p0 + np.einsum("nd,nd->n", self.theta[codes], x)
        if self.spec.target == "probability":
            mean = np.clip(mean, 0.0, 1.0)
        if x.shape[0] * x.shape[1] ** 2 <= GATHERED:
            scaled = (self.root[codes] @ x[:, :, None])[..., 0]
        else:
            scaled = np.empty_like(x)
            for code in set(codes.tolist()):
                is_code = codes == code
                scaled[is_code] = x[is_code] @ self.root[code].T
        return mean, np.sqrt(np.einsum("nd,nd->n", scaled, scaled))
