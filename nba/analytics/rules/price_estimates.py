"""The price of a rule: what leaving it out would have been worth, with an interval.

Two kinds that are never added up. By the model: expected priorities of logged decisions with and
without the rule, summed. From rewards: what came of decisions, where the log holds both sides.
"""

from __future__ import annotations

import math

import numpy as np

from nba.measurement.statistics.effect import fixed_horizon
from nba.measurement.statistics.estimate import (
    MIN_ESS,
    Estimate,
    Undecided,
    effective_sample_size,
)
from nba.measurement.statistics.intervals import clustered_variance, normal_interval
from nba.measurement.statistics.moments import SampleMean
from nba.randomization import generator

MIN_CUSTOMERS = 30  # on whom an interval can rest
RESAMPLES = 2_000


def lifted_difference(lifted: np.ndarray, bound: np.ndarray) -> Estimate | Undecided:
    """EUR per customer, lifted minus held, of the first decision in which the rule would bind.

    `lifted` (k,) and `held` (m,): what came of that one decision, one value a customer. Customers
    are assigned by a hash, and until that decision the rule has done nothing to either side, so
    that the two differ by chance and by the rule alone. Of later decisions that is not so: whether
    a cap or a cool-down binds again depends on whether it was lifted before. Welch's interval with
    Satterthwaite's degrees of freedom (Biometrika 1947).
    """
    for name, arm in (("it is lifted", lifted), ("it holds", bound)):
        if len(arm) < MIN_CUSTOMERS:
            reason = f"{len(arm)} customers for whom {name}, under {MIN_CUSTOMERS}"
            return Undecided(reason=reason)
    with_rule, without_rule = _sample_mean(bound), _sample_mean(lifted)
    if with_rule.variance + without_rule.variance == 0.0:
        return Undecided(reason="the rewards do not vary")
    effect = fixed_horizon(with_rule, without_rule)
    if isinstance(effect, Undecided):
        return effect
    n = effect.n
    return Estimate(value=effect.value, low=effect.low, high=effect.high, n=n, ess=float(n))


def _sample_mean(values: np.ndarray) -> SampleMean:
    return SampleMean(float(values.mean()), float(values.var(ddof=1)), len(values))


def bootstrap_total(
    sums: np.ndarray, customers: int, seed: int, decisions: int
) -> Estimate | Undecided:
    """The total of (k,) sums of those of `customers` customers for whom it is not 0.

    Percentile bootstrap over all customers: how many of the k are drawn is binomial, and each of
    these is one of them. Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    if customers < MIN_CUSTOMERS:
        return Undecided(reason=f"decisions of {customers} customers, under {MIN_CUSTOMERS}")
    total = float(sums.sum())
    if len(sums) == 0:
        return Estimate(value=0.0, low=0.0, high=0.0, n=decisions, ess=float(customers))
    rng = generator(seed, "bootstrap of a price")
    drawn = rng.binomial(customers, len(sums) / customers, RESAMPLES)
    totals = [float(sums[rng.integers(0, len(sums), n)].sum()) for n in drawn.tolist()]
    low, high = np.quantile(totals, [0.025, 0.975]).tolist()
    return Estimate(value=total, low=low, high=high, n=decisions, ess=float(customers))


def snips_difference(
    target: np.ndarray, propensity: np.ndarray, rewards: np.ndarray, customers: np.ndarray
) -> Estimate | Undecided:
    """EUR per decision of another policy minus the logged one, on the same (n,) decisions.

    sum w r / sum w - mean r, w = target / propensity, with the linearised interval of the
    difference, clustered by customer: d_i = w_i (r_i - v) / mean w - (r_i - mean r).
    """
    if len(rewards) == 0:
        return Undecided(reason="no decision with a reward that is over")
    w = target / propensity
    ess = effective_sample_size(w)
    if ess < MIN_ESS:
        reason = f"effective sample size {ess:.1f} of {len(w)} decisions, under {MIN_ESS:.0f}"
        return Undecided(reason=reason)
    codes = np.unique(customers, return_inverse=True)[1]
    n_customers = int(codes.max()) + 1
    if n_customers < MIN_CUSTOMERS:
        return Undecided(reason=f"decisions of {n_customers} customers, under {MIN_CUSTOMERS}")
    value, logged = float((w * rewards).sum() / w.sum()), float(rewards.mean())
    influence = w * (rewards - value) / w.mean() - (rewards - logged)
    difference = value - logged
    low, high = normal_interval(difference, math.sqrt(clustered_variance(influence, codes)))
    return Estimate(value=difference, low=low, high=high, n=len(w), ess=ess)
