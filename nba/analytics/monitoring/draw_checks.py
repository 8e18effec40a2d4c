"""Checks of how we draw: exploration, starved actions, fallbacks, and the propensity audit."""

from __future__ import annotations

from nba.analytics.monitoring.check import (
    MIN_DECISIONS,
    MIN_SHARE,
    Check,
    ComparedPeriods,
    State,
    listed,
    undecided,
)
from nba.analytics.monitoring.offer_counts import coverage, exploration, starved
from nba.measurement.off_policy.propensity_audit import (
    LEVEL,
    DrawCounts,
    audit_propensities,
    chosen_by_draw,
)
from nba.measurement.statistics.estimate import Undecided

MIN_EXPLORATION = 0.01  # share of the greatest entropy
MIN_PROPENSITY = 0.001  # below it one decision weighs as much as a thousand
MIN_COVERAGE = 0.5
MAX_TOP = 0.9  # of what is drawn is one action: it has collapsed onto that
MAX_FALLBACK = (0.01, 0.05)  # share of decisions: warn, red
MAX_PASSED_OVER = (0.05, 0.5)  # share of live decisions: warn, red


def draw_checks(period: ComparedPeriods) -> list[Check]:
    """Every check of how we draw."""
    return [
        explored(period),
        least(period),
        starving(period),
        covered(period),
        concentrated(period),
        fallback(period),
        audited(period),
        passed_over(period),
    ]


def explored(period: ComparedPeriods) -> Check:
    """How much of the draw is chance."""
    name = "exploration"
    now, before = (
        exploration(period.now.decisions.offers),
        exploration(period.reference.decisions.offers),
    )
    if isinstance(now, Undecided):
        return undecided(name, now.reason)
    limit = MIN_EXPLORATION if isinstance(before, Undecided) else max(MIN_EXPLORATION, before / 2)
    state: State = "warn" if now < limit else "ok"
    text = f"the draw has {now:.1%} of the greatest entropy"
    return Check(name=name, state=state, value=now, limit=limit, text=text)


def least(period: ComparedPeriods) -> Check:
    """The smallest probability of a candidate: its inverse is the largest weight."""
    name, drawn = "least_propensity", period.now.decisions
    if drawn.offers.choices == 0:
        return undecided(name, "no decision with two candidates or more", MIN_PROPENSITY)
    state: State = "warn" if drawn.least < MIN_PROPENSITY else "ok"
    text = f"no candidate had a probability under {drawn.least:.3g}, so none weighs over "
    text += f"{1.0 / drawn.least:,.0f} decisions"
    return Check(name=name, state=state, value=drawn.least, limit=MIN_PROPENSITY, text=text)


def starving(period: ComparedPeriods) -> Check:
    """Actions that are offered often and hardly ever drawn."""
    actions = starved(period.now.decisions.offers)
    text = f"hardly ever drawn: {listed(actions)}" if actions else "no action is starved"
    state: State = "warn" if actions else "ok"
    return Check(name="starved", state=state, value=float(len(actions)), limit=0.0, text=text)


def covered(period: ComparedPeriods) -> Check:
    """How much of the catalogue was drawn at least once."""
    name = "coverage"
    result = coverage(period.now.decisions.offers, period.catalogue)
    if isinstance(result, Undecided):
        return undecided(name, result.reason, MIN_COVERAGE)
    if period.now.decisions.live < MIN_DECISIONS:
        return undecided(name, f"{period.now.decisions.live} live decisions", MIN_COVERAGE)
    text = f"{result.share:.0%} of {len(period.catalogue)} actions were drawn"
    if result.never_offered:
        text += f"; never offered: {listed(result.never_offered)}"
    if result.never_drawn:
        text += f"; offered and never drawn: {listed(result.never_drawn)}"
    state: State = "warn" if result.share < MIN_COVERAGE else "ok"
    return Check(name=name, state=state, value=result.share, limit=MIN_COVERAGE, text=text)


def concentrated(period: ComparedPeriods) -> Check:
    """The share of the action that is drawn most."""
    name, record = "concentration", period.now.decisions.offers
    total = sum(record.drawn)
    if total < MIN_DECISIONS:
        return undecided(name, f"{total} live decisions, under {MIN_DECISIONS}", MAX_TOP)
    share, action = max(zip((n / total for n in record.drawn), record.actions, strict=True))
    state: State = "warn" if share > MAX_TOP else "ok"
    text = f"{action} is {share:.0%} of what is drawn"
    return Check(name=name, state=state, value=share, limit=MAX_TOP, text=text)


def fallback(period: ComparedPeriods) -> Check:
    """The share of decisions that came from the owner's fallback."""
    modes = period.now.decisions.modes
    some, what = modes.of("fallback"), "decisions came from the fallback"
    return _share("fallback", some, some + modes.of("live"), MAX_FALLBACK, what)


def passed_over(period: ComparedPeriods) -> Check:
    """The share of live decisions that the champion cannot learn from: other columns."""
    schemas = period.now.decisions.schemas
    some = schemas.total - schemas.of(period.schema)
    what = "live decisions have columns that the champion cannot read"
    return _share("passed_over", some, schemas.total, MAX_PASSED_OVER, what)


def audited(period: ComparedPeriods) -> Check:
    """Whether actions are drawn as often as their logged probabilities say."""
    name, drawn = "propensity_audit", period.now.decisions
    if drawn.unsound:
        text = f"the probabilities of {drawn.unsound:,} decisions are none, or do not sum to one"
        return Check(name=name, state="red", value=0.0, limit=LEVEL, text=text)
    audit = audit_propensities(drawn.draws)
    if isinstance(audit, Undecided):
        return undecided(name, audit.reason, LEVEL)
    chosen = chosen_by_draw(period.now.settled.draws or DrawCounts())
    if chosen and not audit.alarm:
        text = f"of the decisions that are learned from: {chosen}"
        return Check(name=name, state="red", value=0.0, limit=LEVEL, text=text)
    text = f"draws agree with their logged probabilities over {audit.n:,} decisions"
    state: State = "ok"
    if audit.alarm:
        apart = [action for action in audit.actions if action.z is not None]
        worst = max(apart, key=lambda action: abs(action.z or 0.0), default=None)
        text = f"draws do not agree with their logged probabilities (p {audit.p:.2g}, mean weight "
        text += f"{audit.mean_weight:.3f}): nothing that was learned since can be trusted"
        if worst is not None:
            text += f"; {worst.action} was drawn {worst.drawn:,} times, {worst.expected:,.0f} said"
        state = "red"
    return Check(name=name, state=state, value=audit.p, limit=LEVEL, text=text)


def _share(name: str, some: int, total: int, limits: tuple[float, float], what: str) -> Check:
    if total < MIN_SHARE:
        return undecided(name, f"{total} decisions, under {MIN_SHARE}", limits[1])
    share = some / total
    state: State = "red" if share > limits[1] else "warn" if share > limits[0] else "ok"
    text = f"{share:.1%} of {total:,} {what}"
    return Check(name=name, state=state, value=share, limit=limits[1], text=text)
