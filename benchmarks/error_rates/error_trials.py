"""Simulated experiments whose truth is known, for `error_rates.py`: arms of fixed shares, and logs.

Each function plays `runs` of them and gives rates over runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nba.measurement.off_policy.bandit_arms import aipw_scores, past_means
from nba.measurement.off_policy.intervals import always_valid_lower_bound
from nba.measurement.off_policy.propensity_audit import (
    PropensityAudit,
    audit_propensities,
    draw_counts,
)
from nba.measurement.statistics.confidence_sequences import always_valid
from nba.measurement.statistics.drift import (
    StabilityIndex,
    histogram,
    quantile_edges,
    stability_index,
)
from nba.measurement.statistics.effect import Effect, fixed_horizon
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import (
    moments,
    per_customer,
    proportion,
    ratio_mean,
    sample_mean,
)
from nba.measurement.statistics.multiple_testing import benjamini_hochberg, holm
from nba.measurement.statistics.sample_ratio import (
    LEVEL,
    Mismatch,
    detectable_loss,
    log_bayes_factor,
    ratio_mismatch,
)

LOOKS = 100


def excludes_0(found: Effect | Undecided) -> bool:
    return isinstance(found, Effect) and not found.low <= 0.0 <= found.high


def hit(condition: list[bool]) -> float:
    return float(np.mean(condition))


# fixed arms


@dataclass(frozen=True, slots=True)
class Peeked:
    """Shares of runs that claim a difference at some look, and the median size at which they do."""

    claimed: float
    median_n: float | None


def successes(
    rng: np.random.Generator, runs: int, n: int, rates: tuple[float, float]
) -> np.ndarray:
    """(runs, LOOKS, 2) so far, of n customers half of whom are in either arm."""
    each = n // 2 // LOOKS
    return rng.binomial(each, rates, size=(runs, LOOKS, 2)).cumsum(axis=1)


def one_look_at(counts: np.ndarray, n: int) -> float:
    """Welch's interval at the end."""
    last = counts[:, -1].tolist()
    return hit(
        [excludes_0(fixed_horizon(proportion(a, n // 2), proportion(b, n // 2))) for a, b in last]
    )


def peeked_t(counts: np.ndarray, n: int, every: int) -> float:
    """Welch's interval at every so many of the looks."""
    each = n // 2 // LOOKS
    looks = range(every - 1, LOOKS, every)
    return hit(
        [
            any(
                excludes_0(
                    fixed_horizon(proportion(a, each * (i + 1)), proportion(b, each * (i + 1)))
                )
                for i in looks
                for a, b in [run[i]]
            )
            for run in counts.tolist()
        ]
    )


def peeked_always(counts: np.ndarray, n: int, tuning_n: int) -> Peeked:
    """The always-valid interval at every look."""
    each = n // 2 // LOOKS
    stops = []
    for run in counts.tolist():
        for i, (a, b) in enumerate(run, start=1):
            found = always_valid(
                proportion(a, each * i), proportion(b, each * i), tuning_n=tuning_n
            )
            if excludes_0(found):
                stops.append(2 * each * i)
                break
    median = float(np.median(stops)) if stops else None
    return Peeked(len(stops) / len(counts), median)


def clustered(rng: np.random.Generator, runs: int, users: int, icc: float) -> tuple[float, float]:
    """(by customer, by decision): shares of A/A runs that claim one; ten decisions a customer."""
    decisions, names = 10, np.repeat(np.arange(users), 10)
    by_customer, by_decision = [], []
    for _ in range(runs):
        levels, rows = [], []
        for _ in range(2):
            own = rng.normal(0.0, math.sqrt(icc), users).repeat(decisions)
            values = own + rng.normal(0.0, math.sqrt(1.0 - icc), users * decisions)
            levels.append(ratio_mean(moments(*per_customer(names, values))))
            rows.append(sample_mean(moments(values)))
        by_customer.append(excludes_0(fixed_horizon(*levels)))
        by_decision.append(excludes_0(fixed_horizon(*rows)))
    return hit(by_customer), hit(by_decision)


def any_false(rng: np.random.Generator, runs: int, metrics: int) -> tuple[float, float, float]:
    """(raw, Holm, Benjamini-Hochberg): runs with a false claim among metrics without an effect."""
    p = rng.random((runs, metrics))
    return (
        float((p.min(axis=1) < 0.05).mean()),
        hit([bool((holm(row) < 0.05).any()) for row in p]),
        hit([bool((benjamini_hochberg(row) < 0.05).any()) for row in p]),
    )


# sample ratio


def mismatch_peeked(rng: np.random.Generator, runs: int, n: int) -> tuple[float, float, float]:
    """(once, peeked, anytime): runs without a mismatch that are called broken.

    Peeked in a quarter of the runs.
    """
    each, shares = n // LOOKS, np.array([0.5, 0.5])
    first = rng.binomial(each, 0.5, size=(runs, LOOKS)).cumsum(axis=1)
    counts = np.stack([first, each * np.arange(1, LOOKS + 1) - first], axis=-1)
    once = [_broken(ratio_mismatch(c, (1, 1), "ab")) for c in counts[:, -1].tolist()]
    peeked = [
        any(_broken(ratio_mismatch(c, (1, 1), "ab")) for c in run)
        for run in counts[: runs // 4].tolist()
    ]
    anytime = np.exp(-log_bayes_factor(counts, shares)) < LEVEL
    return hit(once), hit(peeked), float(anytime.any(axis=1).mean())


def mismatch_power(rng: np.random.Generator, runs: int, n: int, loss: float) -> float:
    """Runs called broken after one arm has lost this share of its customers."""
    arms = rng.binomial(n, 0.5, runs)
    kept = rng.binomial(arms, 1.0 - loss)
    counts = np.column_stack([kept, n - arms]).tolist()
    return hit([_broken(ratio_mismatch(c, (1, 1), "ab")) for c in counts])


def told_loss(n: int) -> float:
    """What the page tells."""
    found = detectable_loss(n, (0.5, 0.5))
    assert isinstance(found, float)
    return found


def _broken(found: Mismatch | Undecided) -> bool:
    return isinstance(found, Mismatch) and found.broken


# off-policy gate, audit, drift


def off_policy_gate(
    rng: np.random.Generator, runs: int, rates: tuple[float, float], least: float
) -> tuple[float, float]:
    """(z, confidence sequence): runs in which "always arm 1" passes at one of 40 looks of 500.

    Its value minus that of the logged policy, which draws arm 1 with probability `least`.
    """
    n, looks = 20_000, np.arange(500, 20_001, 500)
    by_z, by_sequence = [], []
    for _ in range(runs):
        drawn = (rng.random(n) < least).astype(np.int64)
        rewards = (rng.random(n) < np.array(rates)[drawn]).astype(float)
        propensity = np.where(drawn == 1, least, 1.0 - least)
        predictions = past_means(drawn, rewards, 2, prior=0.05)
        gain = aipw_scores(drawn, propensity, rewards, predictions).scores[:, 1] - rewards
        mean = gain.cumsum()[looks - 1] / looks
        square = (gain**2).cumsum()[looks - 1] / looks
        error = np.sqrt(np.maximum(square - mean**2, 0.0) / (looks - 1))
        by_z.append(bool((mean - 1.6448536269514722 * error > 0.0).any()))
        by_sequence.append(
            any(
                always_valid_lower_bound(value, stderr, size) > 0.0
                for value, stderr, size in zip(
                    mean.tolist(), error.tolist(), looks.tolist(), strict=True
                )
                if stderr > 0.0
            )
        )
    return hit(by_z), hit(by_sequence)


def audit_alarms(
    rng: np.random.Generator, runs: int, n: int, logged: np.ndarray, acting: np.ndarray
) -> tuple[float, float, float]:
    """(p alone, either alarm, mean weight) over runs; probabilities (contexts, k)."""
    actions = tuple("abcdefghij"[: logged.shape[1]])
    low, alarms, weights = [], [], []
    for _ in range(runs):
        context = rng.integers(0, len(logged), n)
        above = rng.random(n)[:, None] > acting[context].cumsum(axis=1)
        drawn = np.minimum(above.sum(axis=1), len(actions) - 1)
        found = audit_propensities(draw_counts(actions, logged[context], drawn))
        assert isinstance(found, PropensityAudit)
        low.append(found.p < LEVEL)
        alarms.append(found.alarm)
        weights.append(found.mean_weight)
    return hit(low), hit(alarms), float(np.mean(weights))


def drift_alarms(rng: np.random.Generator, runs: int, n: int, m: int) -> float:
    """Runs in which a column that has not drifted is called drifted, without a material limit."""
    alarms = []
    for _ in range(runs):
        reference, now = rng.lognormal(size=n), rng.lognormal(size=m)
        reference[rng.random(n) < 0.03] = np.nan
        now[rng.random(m) < 0.03] = np.nan
        edges = quantile_edges(reference)
        found = stability_index(histogram(reference, edges), histogram(now, edges), material=0.0)
        alarms.append(isinstance(found, StabilityIndex) and found.drifted)
    return hit(alarms)
