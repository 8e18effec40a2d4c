"""Report the health of the loop: add days up to two periods and run every check on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import TypeAlias

import msgspec

from nba.analytics.monitoring.check import MIN_DECISIONS, Check, ComparedPeriods, State, undecided
from nba.analytics.monitoring.context_bins import ContextBins
from nba.analytics.monitoring.daily_summary import DailySummary, EventCounts
from nba.analytics.monitoring.data_checks import data_checks
from nba.analytics.monitoring.draw_checks import draw_checks
from nba.analytics.monitoring.drift_checks import drift_checks
from nba.errors import shown

REFERENCE_DAYS = 28
WINDOW_DAYS = 7  # a whole week, so that weekdays are not taken for drift
MAX_BEHIND = (20_000, 500_000)  # events that wait to be learned from: warn, red
NAMED = 3  # customers who are left out
CHECKS = tuple(
    """
    context_drift score_drift churn_drift calibration reward_drop join_rate reward_lag immature
    exploration least_propensity starved coverage concentration fallback passed_over
    propensity_audit learner_behind unknown_event new_category unit_change null_column volume
    """.split()
)

DatedSummary: TypeAlias = tuple[date, DailySummary]


class LearnerProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the learner has read the log."""

    behind: int  # events of the log that it has not read
    paused: bool = False
    left_out: tuple[str, ...] = ()  # customers whose outcomes fail to be learned


class ServingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is serving: the champion, its bins and its catalogue."""

    champion: str | None = None
    anchor: datetime | None = None  # the reference is what was before it
    bins: ContextBins | None = None
    schema: str = ""  # hash of the columns that the champion reads
    catalogue: tuple[str, ...] = ()  # action ids
    learning: LearnerProgress | None = None  # None: nothing was learned online yet
    left_out: tuple[str, ...] = ()  # customers whose outcomes cannot be settled for now


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every check, on the days of now against those of the reference."""

    at: datetime
    since: date  # the first day of now; the last is that of `at`
    reference_since: date
    reference_until: date  # exclusive
    checks: tuple[Check, ...]

    def check(self, name: str) -> Check:
        """The check of this name, one of CHECKS."""
        return next(check for check in self.checks if check.name == name)

    def alarms(self) -> list[Check]:
        """What somebody should look at, the worst first."""
        order: dict[State, int] = {"red": 0, "warn": 1}
        alarms = [check for check in self.checks if check.state in order]
        return sorted(alarms, key=lambda check: order[check.state])

    @property
    def red(self) -> bool:
        """Whether any check is red."""
        return any(check.state == "red" for check in self.checks)


def health_report(
    days: Sequence[DatedSummary],
    now: datetime,
    facts: ServingFacts,
    *,
    window_days: int = WINDOW_DAYS,
    reference_days: int = REFERENCE_DAYS,
) -> HealthReport:
    """The report on the last `window_days` days (UTC), today among them; `days` in order.

    The reference is the `reference_days` before the anchor where they hold enough decisions, else
    those before now; of fewer days than a week, their weekdays alone. Alarms of the data look at
    the last whole day.
    """
    today = now.date()
    since = today - timedelta(days=window_days - 1)
    end = since
    if facts.anchor is not None:
        anchor = facts.anchor.date()
        if (
            _sum(days, anchor - timedelta(days=reference_days), anchor).decisions.live
            >= MIN_DECISIONS
        ):
            end, since = anchor, max(since, min(anchor, today))
    begin = end - timedelta(days=reference_days)
    promoted = facts.anchor.date() if facts.anchor is not None else date.min
    current = _sum(days, since, today + timedelta(days=1))
    weekdays = {(since + timedelta(days=n)).weekday() for n in range((today - since).days + 1)}
    same_weekdays = [(when, day) for when, day in days if when.weekday() in weekdays]
    reference = _sum(same_weekdays, begin, end)
    if reference.decisions.live < MIN_DECISIONS:
        reference = _sum(days, begin, end)
    period = ComparedPeriods(
        reference=reference,
        now=current,
        last=_newest(days),
        own=_sum(days, promoted, since),
        bins=facts.bins,
        champion=facts.champion,
        catalogue=facts.catalogue,
        schema=facts.schema,
    )
    results = [
        *drift_checks(period),
        *draw_checks(period),
        _immature(current, facts.left_out),
        _behind(facts.learning),
        *_data(days, today),
    ]
    checks = {check.name: check for check in results}
    return HealthReport(
        at=now,
        since=since,
        reference_since=begin,
        reference_until=end,
        checks=tuple(checks[name] for name in CHECKS),
    )


def _data(days: Iterable[DatedSummary], today: date) -> list[Check]:
    """The alarms of the data."""
    events = [(when, day.events) for when, day in days]
    yesterday = today - timedelta(days=1)
    first = yesterday - timedelta(days=REFERENCE_DAYS)
    before = [(when, day) for when, day in events if first <= when < yesterday and day.events]
    # a day on which nothing came has no record of its own
    last = dict(events).get(yesterday, EventCounts())
    return data_checks(
        before, (yesterday, last) if before else None, dict(events).get(today, EventCounts())
    )


def _immature(now: DailySummary, left_out: Sequence[str]) -> Check:
    """The share of the decisions whose windows are still open: nothing is known of them yet."""
    name = "immature"
    made = now.decisions.modes.of("live") + now.decisions.modes.of("fallback")
    if made == 0:
        return undecided(name, "no decision in these days")
    share = max(0.0, 1.0 - now.settled.counts.decided / made)
    text = f"the reward windows of {share:.0%} of {made:,} decisions are still open"
    if left_out:
        text += f"; the outcomes of {_customers(left_out, ' cannot be settled for now')}"
    return Check(name=name, state="ok", value=share, text=text)


def _behind(learning: LearnerProgress | None) -> Check:
    """Events that the learner has not read yet, and customers of whom it learns nothing."""
    name = "learner_behind"
    if learning is None:
        return undecided(name, "nothing was learned online yet", float(MAX_BEHIND[1]))
    state: State = "ok"
    if learning.paused:
        text = f"the learner is paused, {learning.behind:,} events behind"
        state = "warn"
    else:
        text = f"the learner is {learning.behind:,} events behind"
        if learning.behind > MAX_BEHIND[0]:
            state = "red" if learning.behind > MAX_BEHIND[1] else "warn"
    if learning.left_out and state == "ok":
        state = "warn"
    text += _left_out(learning.left_out)
    value, limit = float(learning.behind), float(MAX_BEHIND[1])
    return Check(name=name, state=state, value=value, limit=limit, text=text)


def _left_out(customers: Sequence[str]) -> str:
    """Of whom nothing more is learned until they can be settled; everybody else is learned from."""
    if not customers:
        return ""
    return f"; of {_customers(customers, ' nothing more is learned')}"


def _customers(customers: Sequence[str], what: str) -> str:
    more = ", ..." if len(customers) > NAMED else ""
    named = ", ".join(shown(customer) for customer in customers[:NAMED]) + more
    number = "1 customer" if len(customers) == 1 else f"{len(customers):,} customers"
    return f"{number}{what}: {named}"


def _newest(days: Sequence[DatedSummary]) -> DailySummary:
    """The last days whose outcomes are known, as few as hold enough decisions."""
    total = DailySummary()
    for _, day in reversed(days):
        if total.early.join.decisions >= MIN_DECISIONS:
            break
        total = total + DailySummary(early=day.early)
    return total


def _sum(days: Iterable[DatedSummary], begin: date, end: date) -> DailySummary:
    """The days from `begin` until before `end`, added up."""
    total = DailySummary()
    for when, day in days:
        if begin <= when < end:
            total = total + day
    return total
