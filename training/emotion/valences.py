"""Emotion: the valence of each kind of event, learned from who left or answered badly after it.

P(lost or a low answer at the next visit) = logistic(controls + sum_u w_u count_u over the last ten
nodes); valence_u = -w_u / scale. Linear, since readable weights are the product. An association:
people who call are those with problems, so that goal, value and channel belong to the controls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nba.events.valences import HALF_WEIGHT, LearnedValence
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.logistic_regression import LogisticFit, fit_logistic
from nba.randomization import generator

MIN_LOSSES = 100
MIN_LOW_SURVEYS = 200
NODES = 10  # an occurrence is counted at so many moments
SPREADS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of types around the prior, in log-odds
UNIT_SPREAD = 0.5  # of a unit around its type, as a share of the spread of types
_CONTROL_PRECISION = 0.01  # of standardised controls: keeps them finite, no more


@dataclass(frozen=True, slots=True, kw_only=True)
class ValenceUnit:
    """A kind of event at a touchpoint, which gets one valence."""

    kind: str  # the id of a mapped event, or of a signal
    touchpoint: str
    type: str  # units of one type lend each other strength
    prior: float  # valence, -1 to 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValenceEvidence:
    """n moments after a node, with what came before and what came next."""

    counts: np.ndarray  # (n, n_units) occurrences in the last ten nodes
    units: tuple[ValenceUnit, ...]
    controls: np.ndarray  # (n, k) floats, finite
    customers: np.ndarray  # (n,) int64 codes
    labels: np.ndarray  # (n,) bool: lost, or a low survey answer, at the next step
    losses: int
    low_surveys: int

    def __post_init__(self) -> None:
        n, units = len(self.labels), len(self.units)
        if self.counts.shape != (n, units):
            raise ValueError(f"counts have the shape {self.counts.shape}, not {(n, units)}")
        if self.controls.ndim != 2 or len(self.controls) != n:
            raise ValueError(f"controls have the shape {self.controls.shape}, not ({n}, k)")
        if self.customers.shape != (n,):
            raise ValueError(f"customers have the shape {self.customers.shape}, not {(n,)}")
        if not np.isfinite(self.controls).all():
            raise ValueError("controls must be finite; fill what is missing and flag it")


def learn_valences(
    evidence: ValenceEvidence, *, seed: int, bootstraps: int = 200
) -> tuple[LearnedValence, ...] | Undecided:
    """The valence of every unit that occurs, in the order of `units`.

    MAP: w ~ N(-scale prior, spread^2 (same type + UNIT_SPREAD^2 I)), so that a unit is drawn to
    its type and a type to the prior. The scale of the prior is a one-parameter fit of the
    prior-weighted sum; the spread maximises the Laplace evidence (MacKay, Neural Computation
    1992, section 2). Valences are read on the scale on which they are as large as the priors on
    average, or smaller where the largest would else leave [-1, 1]: a prior of the wrong sign
    would shrink the fitted scale, and valences cut off at 1 would be tied.
    """
    if evidence.losses < MIN_LOSSES and evidence.low_surveys < MIN_LOW_SURVEYS:
        return Undecided(
            reason=f"{evidence.losses} losses of {MIN_LOSSES} and {evidence.low_surveys} low "
            f"survey answers of {MIN_LOW_SURVEYS}: one of the two is needed"
        )
    seen = np.flatnonzero(evidence.counts.sum(axis=0) > 0)
    units = [evidence.units[column] for column in seen]
    priors = np.array([unit.prior for unit in units])
    counts = evidence.counts[:, seen].astype(float)
    occurrences = np.ceil(counts.sum(axis=0) / NODES)
    if not np.abs(priors).sum() > 0:
        return Undecided(reason="the prior of everything that occurred is 0: nothing sets a scale")
    posterior = _fit(counts, priors, units, evidence)
    trust = occurrences / (occurrences + HALF_WEIGHT)

    def read(weights: np.ndarray, assumed: np.ndarray) -> np.ndarray:
        """Valences (..., n_units) of weights, and of the prior's weights for blending."""
        sizes = np.abs(weights)
        usual = sizes @ occurrences / (np.abs(priors) @ occurrences)
        scale = np.maximum(np.maximum(usual, (trust * sizes).max(axis=-1)), 1e-9)[..., None]
        learned = np.clip(-weights / scale, -1.0, 1.0)
        return np.asarray(trust * learned + (1.0 - trust) * np.clip(assumed, -1.0, 1.0))

    valences = read(posterior.weights, priors)
    low = high = valences  # without resamples no interval
    if bootstraps:
        draws, shifts = _resample(posterior, evidence, seed, bootstraps)
        low, high = np.quantile(read(draws, priors + shifts), (0.025, 0.975), axis=0)
    return tuple(
        LearnedValence(
            kind=unit.kind,
            touchpoint=unit.touchpoint,
            valence=float(valences[i]),
            low=float(min(low[i], valences[i])),
            high=float(max(high[i], valences[i])),
            prior=unit.prior,
            occurrences=int(occurrences[i]),
            flipped=bool(high[i] < 0.0 < unit.prior or low[i] > 0.0 > unit.prior),
        )
        for i, unit in enumerate(units)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Posterior:
    """The full fit; the units' columns are the last of the design."""

    design: np.ndarray  # (n, 1 + k + n_units)
    fit: LogisticFit
    precision: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray  # (n_units, n_units), of the prior
    scale: float  # log-odds for each unit of valence, under the prior

    @property
    def weights(self) -> np.ndarray:
        return self.fit.weights[-len(self.covariance) :]


def _fit(
    counts: np.ndarray, priors: np.ndarray, units: list[ValenceUnit], evidence: ValenceEvidence
) -> _Posterior:
    labels, controls = evidence.labels, evidence.controls.astype(float)
    spread = controls.std(axis=0)
    controls = (controls - controls.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    known = np.column_stack([np.ones(len(labels)), controls])
    weak = np.r_[0.0, np.full(controls.shape[1], _CONTROL_PRECISION)]
    scale_fit = fit_logistic(
        np.column_stack([known, counts @ priors]), labels, precision=np.r_[weak, 0.0]
    )
    scale = max(-float(scale_fit.weights[-1]), 0.0)  # 0: the priors say nothing, w is drawn to 0
    mean = np.r_[np.zeros(len(weak)), -scale * priors]
    types = np.array([unit.type for unit in units])
    shape = (types[:, None] == types[None, :]) + UNIT_SPREAD**2 * np.eye(len(units))
    design = np.column_stack([known, counts])
    best: _Posterior | None = None
    best_evidence = -np.inf
    for size in SPREADS:
        covariance = size**2 * shape
        precision = np.diag(np.r_[weak, np.zeros(len(units))])
        precision[len(weak) :, len(weak) :] = np.linalg.inv(covariance)
        start = mean if best is None else best.fit.weights
        fit = fit_logistic(design, labels, precision=precision, mean=mean, start=start)
        off = fit.weights - mean
        laplace = fit.log_likelihoods.sum() - 0.5 * off @ precision @ off
        laplace -= 0.5 * np.linalg.slogdet(covariance)[1]
        laplace -= 0.5 * np.linalg.slogdet(fit.information)[1]
        if laplace > best_evidence:
            best_evidence = float(laplace)
            best = _Posterior(design, fit, precision, mean, covariance, scale)
    assert best is not None
    return best


def _resample(
    posterior: _Posterior, evidence: ValenceEvidence, seed: int, bootstraps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the units, (bootstraps, n_units), and how far the prior moved, in valence.

    One Newton step from the full fit for each resample of customers. The mean of the prior is
    redrawn too: without that, shrinkage would make the interval too narrow (Pearce et al.,
    Approximately Bayesian Ensembling, AISTATS 2020, section 3).
    """
    rng = generator(seed, "resamples of valences")
    _, codes = np.unique(evidence.customers, return_inverse=True)
    groups, units = int(codes.max()) + 1, len(posterior.covariance)
    design, full = posterior.design, posterior.fit.weights
    p = np.exp(-np.logaddexp(0.0, -(design @ full)))
    residuals, curvature = evidence.labels - p, p * (1.0 - p)
    prior_shifts = rng.multivariate_normal(np.zeros(units), posterior.covariance, bootstraps)
    weights = np.empty((bootstraps, units))
    for turn in range(bootstraps):
        times = rng.multinomial(groups, np.full(groups, 1.0 / groups))[codes]
        mean = posterior.mean.copy()
        mean[-units:] += prior_shifts[turn]
        gradient = design.T @ (times * residuals) - posterior.precision @ (full - mean)
        information = (design * (times * curvature)[:, None]).T @ design + posterior.precision
        weights[turn] = (full + np.linalg.lstsq(information, gradient, rcond=1e-12)[0])[-units:]
    return weights, -prior_shifts / posterior.scale if posterior.scale > 0 else np.zeros_like(
        prior_shifts
    )
