"""Checks of what changes: contexts, scores, calibration, rewards and how they arrive."""

from __future__ import annotations

import numpy as np

from nba.analytics.monitoring.check import (
    MIN_DECISIONS,
    MIN_SHARE,
    Check,
    ComparedPeriods,
    State,
    undecided,
)
from nba.analytics.monitoring.daily_summary import Kind, lag_quantile_s
from nba.analytics.monitoring.outcome_join import join_rate, join_rate_fell
from nba.durations import HOUR_S
from nba.measurement.statistics.calibration import (
    MAX_ECE,
    SLOPES,
    calibration,
    calibration_drifted,
)
from nba.measurement.statistics.confidence_sequences import always_valid
from nba.measurement.statistics.drift import Histogram, StabilityIndex, stability_index
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.multiple_testing import holm

MATERIAL = 0.05  # of PSI: a shift of 0.3 standard deviations has 0.09
MAJOR_PSI = 0.25  # by custom a shift above it is no longer small
LEVEL = 0.02  # of the many columns of a context together, after Holm; the p is approximate
MAX_LAG = 2.0  # times what it was
WORST = 3  # columns that a sentence names


def drift_checks(period: ComparedPeriods) -> list[Check]:
    """Every check of what changes."""
    return [
        context_drift(period),
        score_drift(period, "score_drift", "accept"),
        score_drift(period, "churn_drift", "churn"),
        calibration_drift(period),
        reward_drop(period),
        join(period),
        lag(period),
    ]


def context_drift(period: ComparedPeriods) -> Check:
    """PSI of every column of the context, but of those that time alone moves.

    A customer who is decided for many times counts as one: their contexts are alike.
    """
    name, bins = "context_drift", period.bins
    before, now = period.reference.decisions, period.now.decisions
    if bins is None or not before.contexts.counts or not now.contexts.counts:
        return undecided(name, "no context was counted on both sides yet")
    if (few := _few(period)) is not None:
        return undecided(name, few)
    columns: list[tuple[str, StabilityIndex]] = []
    for column, reference, current in zip(
        bins.names, before.contexts.columns(bins), now.contexts.columns(bins), strict=True
    ):
        index = stability_index(
            _per_customer(reference, before.customers.count),
            _per_customer(current, now.customers.count),
            material=MATERIAL,
        )
        if isinstance(index, StabilityIndex):
            columns.append((column, index))
    if not columns:
        return undecided(name, "every column holds one value, or too few")
    sure = holm(np.array([index.p for _, index in columns])) < LEVEL
    drifted = [
        (column, index)
        for (column, index), is_sure in zip(columns, sure, strict=True)
        if is_sure and index.drifted
    ]
    worst = sorted(drifted or columns, key=lambda pair: -pair[1].psi / pair[1].limit)
    top = worst[0][1]
    if not drifted:
        text = f"none of {len(columns)} columns has moved"
        return Check(name=name, state="ok", value=top.psi, limit=top.limit, text=text)
    many = len(drifted) > 0.1 * len(columns) and len(drifted) > 1
    state: State = "red" if many or any(index.psi > MAJOR_PSI for _, index in drifted) else "warn"
    named = ", ".join(f"{column} (PSI {index.psi:.2f})" for column, index in worst[:WORST])
    text = f"{len(drifted)} of {len(columns)} columns have moved: {named}"
    return Check(name=name, state=state, value=top.psi, limit=top.limit, text=text)


def score_drift(period: ComparedPeriods, name: str, kind: Kind) -> Check:
    """PSI of what the champion predicts, against its own days before."""
    if period.champion is None:
        return undecided(name, "no champion predicts anything")
    histograms = []
    for day in (period.own, period.now):
        histogram = day.decisions.of_bundle(period.champion).histogram(kind)
        histograms.append(_per_customer(histogram, day.decisions.customers.count))
    if min(histogram.n for histogram in histograms) < MIN_DECISIONS:
        reason = (
            f"the champion predicted for {histograms[0].n} customers before, {histograms[1].n} now"
        )
        return undecided(name, f"{reason}: {MIN_DECISIONS} each are needed")
    index = stability_index(histograms[0], histograms[1], material=MATERIAL)
    if isinstance(index, Undecided):
        return undecided(name, index.reason)
    subject = (
        "what the champion predicts of candidates" if kind == "accept" else "the risk of leaving"
    )
    state: State = "ok"
    if index.drifted:
        state = "red" if index.psi > MAJOR_PSI else "warn"
    text = f"{subject} has {'moved' if index.drifted else 'not moved'}: PSI {index.psi:.3f}"
    return Check(name=name, state=state, value=index.psi, limit=index.limit, text=text)


def calibration_drift(period: ComparedPeriods) -> Check:
    """What the champion predicted of what it drew, against what came."""
    name = "calibration"
    bins = period.now.settled.of_bundle(period.champion)
    fit = calibration(bins)
    if isinstance(fit, Undecided):
        if bins.total == 0:
            return undecided(name, "no prediction of the champion has an outcome in these days yet")
        return undecided(name, fit.reason)
    limit = MAX_ECE + fit.ece_noise
    drifted = calibration_drifted(fit)
    text = (
        f"predictions are off by {fit.ece:.3f} on average, with a slope of {fit.slope:.2f} "
        f"(95 % {fit.slope_low:.2f} to {fit.slope_high:.2f}; {SLOPES[0]} to {SLOPES[1]} is "
        f"good) over {fit.n:,} decisions"
    )
    state: State = "red" if drifted else "ok"
    return Check(name=name, state=state, value=fit.ece, limit=limit, text=text)


def reward_drop(period: ComparedPeriods) -> Check:
    """Reward per decision at one age, now minus before, by an interval that may be read daily."""
    name = "reward_drop"
    before, now = period.reference.early.rewards.level, period.now.early.rewards.level
    difference = always_valid(before, now)
    if isinstance(difference, Undecided):
        return undecided(name, f"rewards cannot be compared: {difference.reason}", 0.0)
    state: State = "red" if difference.high < 0.0 else "ok"
    text = (
        f"reward per decision, of the same age, is {now.mean:.4g} against {before.mean:.4g}: "
        f"{difference.value:+.4g} ({difference.low:+.4g} to {difference.high:+.4g})"
    )
    return Check(name=name, state=state, value=difference.value, limit=0.0, text=text)


def join(period: ComparedPeriods) -> Check:
    """The share of decisions to which an outcome came, at one age; over the last days too, so that
    a feed that has stopped is not hidden by the week before."""
    name = "join_rate"
    before, now = period.reference.early.join, period.now.early.join
    fell = join_rate_fell(before, now)
    if fell is False and join_rate_fell(before, period.last.early.join) is True:
        fell, now = True, period.last.early.join
    rate, was = join_rate(now), join_rate(before)
    if isinstance(fell, Undecided) or isinstance(rate, Undecided) or isinstance(was, Undecided):
        reason = next(
            result for result in (fell, rate, was) if isinstance(result, Undecided)
        ).reason
        return undecided(name, reason)
    text = f"{rate.value:.1%} of {rate.n:,} decisions have an outcome, {was.value:.1%} had before"
    state: State = "red" if fell else "ok"
    return Check(name=name, state=state, value=rate.value, limit=was.low, text=text)


def lag(period: ComparedPeriods) -> Check:
    """How long the first answer takes."""
    name = "reward_lag"
    now, before = period.now.settled.lags, period.reference.settled.lags
    if sum(now) < MIN_SHARE:
        return undecided(name, f"{sum(now)} settled decisions were answered, under {MIN_SHARE}")
    median, late = lag_quantile_s(now, 0.5) / HOUR_S, lag_quantile_s(now, 0.9) / HOUR_S
    text = f"half of the answers come within {median:.3g} h, nine tenths within {late:.3g} h"
    if sum(before) < MIN_SHARE:
        return Check(name=name, state="ok", value=median, text=text)
    limit = MAX_LAG * lag_quantile_s(before, 0.5) / HOUR_S
    state: State = "warn" if median > limit else "ok"
    return Check(name=name, state=state, value=median, limit=limit, text=text)


def _few(period: ComparedPeriods) -> str | None:
    """Why two distributions of contexts cannot be compared yet."""
    customers = [summary.decisions.customers.count for summary in (period.reference, period.now)]
    if min(customers) >= MIN_DECISIONS:
        return None
    return (
        f"{customers[0]} customers before and {customers[1]} now: {MIN_DECISIONS} each are needed"
    )


def _per_customer(histogram: Histogram, customers: int) -> Histogram:
    """The histogram as if each customer had been counted once."""
    if histogram.n <= customers:
        return histogram
    counts = tuple(round(count * customers / histogram.n) for count in histogram.counts)
    return Histogram(edges=histogram.edges, counts=counts)
