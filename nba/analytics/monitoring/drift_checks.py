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
    ece_noise,
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
    name, cut = "context_drift", period.cut
    before, now = period.reference.decisions, period.now.decisions
    if cut is None or not before.contexts.counts or not now.contexts.counts:
        return undecided(name, "no context was counted on both sides yet")
    if (few := _few(period)) is not None:
        return undecided(name, few)
    found: list[tuple[str, StabilityIndex]] = []
    sides = zip(cut.names, before.contexts.columns(cut), now.contexts.columns(cut), strict=True)
    customers = before.customers.count, now.customers.count
    for column, one, two in sides:
        moved = stability_index(
            *(_per_customer(one, customers[0]), _per_customer(two, customers[1])),
            material=MATERIAL,
        )
        if isinstance(moved, StabilityIndex):
            found.append((column, moved))
    if not found:
        return undecided(name, "every column holds one value, or too few")
    sure = holm(np.array([one.p for _, one in found])) < LEVEL
    drifted = [each for each, p in zip(found, sure, strict=True) if p and each[1].drifted]
    worst = sorted(drifted or found, key=lambda each: -each[1].psi / each[1].limit)
    top = worst[0][1]
    if not drifted:
        text = f"none of {len(found)} columns has moved"
        return Check(name=name, state="ok", value=top.psi, limit=top.limit, text=text)
    many = len(drifted) > 0.1 * len(found) and len(drifted) > 1
    state: State = "red" if many or any(one.psi > MAJOR_PSI for _, one in drifted) else "warn"
    named = ", ".join(f"{column} (PSI {one.psi:.2f})" for column, one in worst[:WORST])
    text = f"{len(drifted)} of {len(found)} columns have moved: {named}"
    return Check(name=name, state=state, value=top.psi, limit=top.limit, text=text)


def score_drift(period: ComparedPeriods, name: str, kind: Kind) -> Check:
    """PSI of what the champion predicts, against its own days before."""
    if period.champion is None:
        return undecided(name, "no champion predicts anything")
    sides = []
    for day in (period.own, period.now):
        found = day.decisions.of_bundle(period.champion).histogram(kind)
        sides.append(_per_customer(found, day.decisions.customers.count))
    if min(side.n for side in sides) < MIN_DECISIONS:
        reason = f"the champion predicted for {sides[0].n} customers before, {sides[1].n} now"
        return undecided(name, f"{reason}: {MIN_DECISIONS} each are needed")
    moved = stability_index(sides[0], sides[1], material=MATERIAL)
    if isinstance(moved, Undecided):
        return undecided(name, moved.reason)
    what = "what the champion predicts of candidates" if kind == "accept" else "the risk of leaving"
    state: State = "ok"
    if moved.drifted:
        state = "red" if moved.psi > MAJOR_PSI else "warn"
    text = f"{what} has {'moved' if moved.drifted else 'not moved'}: PSI {moved.psi:.3f}"
    return Check(name=name, state=state, value=moved.psi, limit=moved.limit, text=text)


def calibration_drift(period: ComparedPeriods) -> Check:
    """What the champion predicted of what it drew, against what came."""
    name = "calibration"
    bins = period.now.settled.of_bundle(period.champion)
    found = calibration(bins)
    if isinstance(found, Undecided):
        if bins.total == 0:
            return undecided(name, "no prediction of the champion has an outcome in these days yet")
        return undecided(name, found.reason)
    limit = MAX_ECE + ece_noise(found.n)
    drifted = calibration_drifted(found)
    text = (
        f"predictions are off by {found.ece:.3f} on average, with a slope of {found.slope:.2f} "
        f"(95 % {found.slope_low:.2f} to {found.slope_high:.2f}; {SLOPES[0]} to {SLOPES[1]} is "
        f"good) over {found.n:,} decisions"
    )
    state: State = "red" if drifted else "ok"
    return Check(name=name, state=state, value=found.ece, limit=limit, text=text)


def reward_drop(period: ComparedPeriods) -> Check:
    """Reward per decision at one age, now minus before, by an interval that may be read daily."""
    name = "reward_drop"
    before, now = period.reference.early.rewards.level, period.now.early.rewards.level
    found = always_valid(before, now)
    if isinstance(found, Undecided):
        return undecided(name, f"rewards cannot be compared: {found.reason}", 0.0)
    state: State = "red" if found.high < 0.0 else "ok"
    text = (
        f"reward per decision, of the same age, is {now.mean:.4g} against {before.mean:.4g}: "
        f"{found.value:+.4g} ({found.low:+.4g} to {found.high:+.4g})"
    )
    return Check(name=name, state=state, value=found.value, limit=0.0, text=text)


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
        reason = next(one for one in (fell, rate, was) if isinstance(one, Undecided)).reason
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
    sides = [one.decisions.customers.count for one in (period.reference, period.now)]
    if min(sides) >= MIN_DECISIONS:
        return None
    return f"{sides[0]} customers before and {sides[1]} now: {MIN_DECISIONS} each are needed"


def _per_customer(found: Histogram, customers: int) -> Histogram:
    """The histogram as if each customer had been counted once."""
    if found.n <= customers:
        return found
    counts = tuple(round(count * customers / found.n) for count in found.counts)
    return Histogram(edges=found.edges, counts=counts)
