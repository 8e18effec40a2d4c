"""Delay curves: which share of an action's rewards has arrived at each age of its exposures.

Rewards that are still to come are not seen: arrivals are right-truncated at the age of their
exposure. Of those that arrived by one age, the share that arrived just before it is not biased by
that, where the exposures had all reached the age. The curve is the product of these reverse
hazards, counted back from the end of the window, where it is 1: the estimator of Lynden-Bell for
truncated data (Monthly Notices of the Royal Astronomical Society 155, 1971), which is that of
Kaplan and Meier with time turned round, and Greenwood's variance.

Ages that no exposure has reached yet are known by the shape of the ages before: where all that came
within a day came within an hour, little is to be expected of the days after. The prior is a mixture
of shapes, exponential delays of many lengths, half of them with uniform ones, uniform and late
ones, each as likely as it makes the action's own arrivals; how far the shapes differ is the error
of what was not seen. FORGOTTEN of the mixture is uniform for good, since a second wave may come.

Each hazard has a beta prior about the one of its shape, worth PSEUDO_ARRIVALS, and what the other
actions with the same window show, worth LIKENESS arrivals or nothing. What that is worth is weighed
by how likely it makes what is seen of the others and of the action itself, by beta-binomial
likelihoods and by how much has come of it (a hierarchical prior, empirical Bayes): one that is new
or rare may be unlike the others, however alike those are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln

from nba.engine.policy import Floats

PARTS = 16  # equal parts of the window; its first part is halved again and again
AGES: Floats = np.array(  # the knots of the curve, in windows
    [0.0, *(2.0**-power for power in range(10, 4, -1)), *(n / PARTS for n in range(1, PARTS + 1))]
)
BUCKETS = len(AGES) - 1
PSEUDO_ARRIVALS = 2.0  # of the prior that delays are of their shape
FORGOTTEN = 0.1  # of the shapes, whatever arrives early: delays are uniform over the window
MOST_TELLING = 8.0  # arrivals by which shapes are told apart: no more, since none is the true one
MOST_TAKEN_BACK = -4.0  # in one bucket, as a share of what is left: five times as much had come
UNLIKE = 0.1  # of the chance that an action's delays are like those of others, that they are not
LIKENESS = (0.5, 2.0, 8.0, 32.0, 128.0, 512.0)  # arrivals that the other actions may be worth


@dataclass(frozen=True, slots=True, eq=False)
class DelayCurves:
    """A curve for each of k actions; both arrays are (k, BUCKETS + 1), at AGES."""

    share: Floats  # arrived by that age: from 0 to 1, above it of what is taken back later
    error: Floats  # its standard deviation, as a share of it

    def at(self, ages: Floats) -> tuple[Floats, Floats]:
        """(share, standard deviation) at (k, n) ages in windows: (0, ...) before, (1, 0) after."""
        pairs = zip(ages, self.share, self.error, strict=True)
        found = [(np.interp(a, AGES, s), np.interp(a, AGES, s * e)) for a, s, e in pairs]
        share, deviation = zip(*found, strict=True)
        return np.array(share), np.array(deviation)


def _shapes() -> tuple[Floats, Floats]:
    """(s, BUCKETS + 1) curves at AGES, with their (s,) chances; the last is the uniform one."""
    lengths = 2.0 ** np.arange(-10, 2)  # mean delays, in windows, before they are cut at its end
    exponential = np.expm1(-AGES / lengths[:, None]) / np.expm1(-1.0 / lengths)[:, None]
    mixed = 0.5 * exponential[:-3] + 0.5 * AGES
    parts = ((exponential, 0.35), (mixed, 0.15), (AGES ** [[2.0], [4.0]], 0.25), (AGES[None], 0.25))
    chances = [np.full(len(curves), chance / len(curves)) for curves, chance in parts]
    return np.vstack([curves for curves, _ in parts]), np.concatenate(chances)


SHAPES, CHANCES = _shapes()


def parts_at(ages: Floats) -> Floats:
    """(n, BUCKETS + 1) of (n,) ages in windows how much lies at each of AGES: of that curve which
    goes straight between them, times its values there, its value at the age."""
    return np.array([np.interp(ages, AGES, knot) for knot in np.eye(BUCKETS + 1)]).T


def fit_delay_curves(
    within: Floats,
    by: Floats,
    windows_s: Floats,
    *,
    came: Floats | None = None,
    scored: Floats | None = None,
) -> DelayCurves:
    """Curves from numbers of arrivals, both (k, BUCKETS), of exposures older than each bucket.

    `within`: that arrived in the bucket. `by`: that arrived in it or before. `windows_s`: (k,);
    actions learn from those with the same one. `came`: (k,) arrivals of all that wait, which by
    their scores would be `scored`, (k, BUCKETS + 1), once all has come, at the ages they have.
    """
    by = np.maximum(by, 0.0)
    net, within = np.minimum(within, by), np.clip(within, 0.0, by)
    came = np.zeros(len(by)) if came is None else np.maximum(came, 0.0)
    scored = np.zeros((len(by), BUCKETS + 1)) if scored is None else scored
    shape, apart = _shape_of(within, by, _log_level(came[:, None], scored @ SHAPES.T))
    own = _hazards(shape)
    same = (windows_s[:, None] == windows_s).astype(float) - np.eye(len(windows_s))
    others = same @ by + PSEUDO_ARRIVALS
    mean = (same @ within + PSEUDO_ARRIVALS * own) / others
    alone = np.full_like(others, PSEUDO_ARRIVALS)
    priors = [(own, _joint(alone, LIKENESS[0]))]
    priors += [(mean, _joint(others, likeness)) for likeness in LIKENESS]
    likely = np.array([_log_likelihood(within, by, *prior) for prior in priors])
    found = [_curve(net, by, *prior, apart) for prior in priors]
    share, error = (np.array(arrays) for arrays in zip(*found, strict=True))
    level = np.array([_log_level(came, (scored * curve).sum(axis=1)) for curve in share])
    chances = _chances(likely, level, same)[:, :, None]
    between = (chances * share).sum(axis=0)
    between[:, -1] = 1.0
    variance = (chances * ((share * error) ** 2 + (share - between) ** 2)).sum(axis=0)
    return DelayCurves(between, np.sqrt(variance) / np.maximum(between, 1e-12))


def _chances(likely: Floats, level: Floats, same: Floats) -> Floats:
    """(priors, k) how likely each prior is of an action: as it is among the others, but for UNLIKE
    of it, by what has come of its own."""
    of_others = _softmax(likely @ same)
    prior = np.log((1.0 - UNLIKE) * of_others + UNLIKE / len(likely))
    return _softmax(prior + likely + level)


def _softmax(log: Floats) -> Floats:
    chances = np.exp(log - log.max(axis=0))
    shares: Floats = chances / chances.sum(axis=0)
    return shares


def _curve(
    net: Floats, by: Floats, mean: Floats, prior: Floats, apart: Floats
) -> tuple[Floats, Floats]:
    """(k, BUCKETS + 1) shares and their errors, by hazards with a prior worth so many arrivals."""
    hazard = np.clip((net + prior * mean) / (by + prior), MOST_TAKEN_BACK, 1.0 - 1e-9)
    hazard = hazard[:, 1:]  # of what has arrived by the first knot all arrived before it
    left = np.log1p(-hazard)
    unseen = (prior / (by + prior))[:, 1:]
    variance = np.abs(hazard) / ((1.0 - hazard) * (by + prior + 1.0)[:, 1:])
    share, error = np.ones((2, len(by), BUCKETS + 1))
    share[:, 0], share[:, 1:-1] = 0.0, np.exp(_from_the_end(left))
    guessed = _from_the_end(unseen * np.abs(left)) / _from_the_end(np.abs(left) + 1e-12)
    seen = _from_the_end(variance * (1.0 - unseen))
    error[:, -1], error[:, 1:-1] = 0.0, np.sqrt(seen + (apart[:, 1:-1] * guessed) ** 2)
    error[:, 0] = error[:, 1]
    return share, error


def _log_level(came: Floats, expected: Floats) -> Floats:
    """How likely so many arrivals are under curves by which so many are expected, where the true
    level is anything about the score: exponential with it as its mean, so that arrivals are
    geometric."""
    log: Floats = came * np.log(expected / (1.0 + expected) + 1e-300) - np.log1p(expected)
    return np.where(expected > 0.0, log, 0.0)


def _shape_of(within: Floats, by: Floats, level: Floats) -> tuple[Floats, Floats]:
    """(k, BUCKETS + 1) the curve of each action as its shapes have it, and how far these are apart:
    their standard deviation, as a share of it. `level`: (k, s), as `_log_level`."""
    hazards = _hazards(SHAPES)[:, 1:]
    likely = within[:, 1:] @ np.log(hazards).T + (by - within)[:, 1:] @ np.log1p(-hazards).T
    likely *= np.minimum(1.0, MOST_TELLING / np.maximum(by.max(axis=1, keepdims=True), 1e-9))
    chances = CHANCES * np.exp(likely - likely.max(axis=1, keepdims=True))
    chances *= (1.0 - FORGOTTEN) / chances.sum(axis=1, keepdims=True)
    chances[:, -1] += FORGOTTEN
    chances *= np.exp(level - level.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    mean = chances @ SHAPES
    variance = np.maximum(chances @ SHAPES**2 - mean**2, 0.0)
    return mean, np.sqrt(variance) / np.maximum(mean, 1e-12)


def _hazards(curves: Floats) -> Floats:
    """(n, BUCKETS): of what has arrived by the end of each bucket, the share that arrived in it."""
    hazards: Floats = 1.0 - curves[:, :-1] / np.maximum(curves[:, 1:], 1e-300)
    return np.clip(hazards, 1e-6, 1.0 - 1e-6)


def _joint(worth: Floats, likeness: float) -> Floats:
    """How many arrivals the prior is worth: no more than it was counted from."""
    joint: Floats = 1.0 / (1.0 / worth + 1.0 / likeness)
    return joint


def _log_likelihood(within: Floats, by: Floats, mean: Floats, prior: Floats) -> Floats:
    """(k,) of what has come of each action."""
    alpha, beta = (prior * mean)[:, 1:], (prior * (1.0 - mean))[:, 1:]
    seen = betaln(within[:, 1:] + alpha, (by - within)[:, 1:] + beta)
    likely: Floats = (seen - betaln(alpha, beta)).sum(axis=1)
    return likely


def _from_the_end(values: Floats) -> Floats:
    """(k, n) sums of each value and all after it."""
    return np.cumsum(values[:, ::-1], axis=1)[:, ::-1]
