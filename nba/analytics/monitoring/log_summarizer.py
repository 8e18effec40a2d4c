"""Summarise the log by day, from where the last pass stopped.

One replica at a time reads. Outcomes are counted when every decision of an hour has reached the
same age, by what had been received then: it makes no difference how often, or how late, or by
whom the log is read.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from itertools import chain, groupby
from math import inf
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from nba.analytics.monitoring.daily_aggregation import (
    choose_bins,
    context_rows,
    count_decisions,
    count_events,
    early_outcomes,
    settled_outcomes,
)
from nba.analytics.monitoring.daily_summary import DailySummary
from nba.analytics.monitoring.health_report import REFERENCE_DAYS, WINDOW_DAYS
from nba.analytics.monitoring.summary_store import HEALTH, SummaryCursors, SummaryStore
from nba.customer.context import ContextSchema
from nba.decisions.decision import Decision
from nba.durations import DAY_S, HOUR_S
from nba.errors import InvalidBundle
from nba.events.event import Event, micros
from nba.events.names import ACTION_DECIDED
from nba.journey.mapping import EventMapping
from nba.rewards.attribution import Attribution
from nba.rewards.changes import LogPosition, first_after
from nba.rewards.credit import Credit
from nba.rewards.isolation import AGAIN_S, credits_and_failures
from nba.stores.log import Log

logger = logging.getLogger("nba.serving")

KEPT_DAYS = 92
EARLY_DAYS = 1.0  # the age at which rewards are compared; the longest window where that is shorter
PAGE = 5_000  # events at a time
DECISIONS = 1_000  # at a time
MIN_ROWS = 500  # contexts, before bins are chosen
SAMPLES, SAMPLE = 20, 200  # positions in the log, and decisions at each, that bins rest on


class MonitoredJourney(NamedTuple):
    """What is monitored: a journey with the rule of its rewards, and the champion on it."""

    schema: ContextSchema
    mapping_of: Callable[[Event], EventMapping | None]
    attribution: Attribution
    champion: str | None


class SummaryPass(NamedTuple):
    """How much one pass has read."""

    events: int = 0
    decisions: int = 0
    more: bool = False  # stopped before the end of the log


class OutcomesByDeadline(NamedTuple):
    """What had come of some decisions by a deadline."""

    decided: dict[str, Event]  # by decision id
    credits: list[Credit]
    naming: list[Event]  # events that name one of them
    failures: dict[str, str]  # by customer who cannot be settled, why


class LogSummarizer:
    """Reads the log in passes and keeps its daily summaries."""

    def __init__(
        self, log: Log, subject: Callable[[], MonitoredJourney], now: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._subject = subject
        self._now = now
        self.summaries = SummaryStore(log, KEPT_DAYS)
        self._tried = -MIN_ROWS  # position at which bins were last attempted
        self._settled_at_s = -inf  # when customers who are left out were last tried again

    def step(
        self,
        stopping: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda events: None,
    ) -> SummaryPass | None:
        """Read up to the end of the log; None where another replica does.

        Raises StoreUnavailable.
        """
        with self._log.turn(HEALTH) as acquired:
            return self._pass(stopping, progress) if acquired else None

    def _pass(self, stopping: Callable[[], bool], progress: Callable[[int], None]) -> SummaryPass:
        summaries, now = self.summaries, self._now()
        try:
            summaries.load()
        except InvalidBundle as error:
            logger.warning("the health of the loop is read anew: %s", error)
            summaries.clear()
        if not summaries.begun and not summaries.days:
            first = self._after(now, KEPT_DAYS)
            summaries.cursors = SummaryCursors(
                events=first, decisions=first, early=first, settled=first
            )
        subject = self._subject()
        self._choose_bins(subject, now)
        self._settle_left_out(subject, now)
        done = SummaryPass()
        while not stopping():
            events = self._read_events(subject)
            decisions = self._read_decisions()
            early = self._read_outcomes(subject, now, early=True)
            settled = self._read_outcomes(subject, now, early=False)
            done = SummaryPass(done.events + events, done.decisions + decisions)
            progress(events)
            summaries.save(now)
            if not (events or decisions or early or settled):
                return done
        return done._replace(more=True)

    def _after(self, now: datetime, days: float) -> int:
        return first_after(self._log, micros(now) / 1e6 - days * DAY_S)

    def _choose_bins(self, subject: MonitoredJourney, now: datetime) -> None:
        """Choose the bins anew where the columns are others, or another champion came."""
        summaries, schema = self.summaries, subject.schema
        known = summaries.bins
        wanted = (schema.schema_hash, subject.champion)
        if known is not None and (known.schema, known.bundle_id) == wanted:
            return
        end = self._log.position()
        if end - self._tried < MIN_ROWS:
            return
        self._tried = end
        begin = self._after(now, REFERENCE_DAYS + WINDOW_DAYS + 1)
        positions = np.linspace(begin, end, SAMPLES, endpoint=False).astype(int).tolist()
        decisions = {
            decision.decision_id: decision
            for position in positions
            for _, decision in self._log.page_decisions(position, SAMPLE)
        }
        rows = context_rows(list(decisions.values()), schema.schema_hash)
        if len(rows) >= MIN_ROWS:
            bins = choose_bins(schema.schema_hash, schema.columns, rows, subject.champion)
            summaries.replace_bins(bins, begin)

    def _read_events(self, subject: MonitoredJourney) -> int:
        summaries = self.summaries
        events = self._log.page_events(summaries.cursors.events, PAGE)
        by_day: dict[date, list[Event]] = defaultdict(list)
        for event in events:
            by_day[event.received_at.date()].append(event)
        for day, received in by_day.items():
            known = summaries.days.get(day, DailySummary()).events.unmapped.names
            counts = count_events(received, subject.schema.journey, subject.mapping_of, known)
            summaries.add(day, DailySummary(events=counts))
        if events:
            summaries.cursors = replace(summaries.cursors, events=events[-1].seq)
        return len(events)

    def _read_decisions(self) -> int:
        summaries = self.summaries
        page = self._log.page_decisions(summaries.cursors.decisions, DECISIONS)
        by_day: dict[date, list[Decision]] = defaultdict(list)
        for _, decision in page:
            by_day[decision.decided_at.date()].append(decision)
        for day, decisions in sorted(by_day.items()):
            counts = count_decisions(decisions, summaries.bins)
            summaries.add(day, DailySummary(decisions=counts))
        if page:
            summaries.cursors = replace(summaries.cursors, decisions=page[-1][0])
        return len(page)

    def _read_outcomes(self, subject: MonitoredJourney, now: datetime, *, early: bool) -> bool:
        """Count the outcomes of decisions that have reached the age; whether there were events."""
        summaries, attribution = self.summaries, subject.attribution
        age_s = _age_s(attribution, early=early)
        begin = at = summaries.cursors.outcomes(early=early)
        for hour, group in groupby(self._log.page_events(at.position, PAGE), key=_hour):
            events = list(group)
            until_s = (hour + 1) * HOUR_S + age_s
            if until_s > micros(now) / 1e6:
                break
            waiting = {one.customer_id for one in at.left_out}
            known = [event for event in events if event.customer_id not in waiting]
            outcomes = self._outcomes(attribution, known, until_s)
            self._add_outcomes(outcomes, early=early)
            before = replace(at, position=events[0].seq - 1)
            at = replace(at, position=events[-1].seq).leaving_out(outcomes.failures, before)
        summaries.cursors = summaries.cursors.with_outcomes(at, early=early)
        return at.position != begin.position

    def _settle_left_out(self, subject: MonitoredJourney, now: datetime) -> None:
        """Count what was left out of those who can be settled now, by the same deadlines."""
        summaries, now_s = self.summaries, micros(now) / 1e6
        if not summaries.cursors.left_out or now_s - self._settled_at_s < AGAIN_S:
            return
        self._settled_at_s = now_s
        for early in (True, False):
            at = summaries.cursors.outcomes(early=early)
            still = []
            for one in at.left_out:
                found = self._outcomes_since(subject, one.customer_id, one.position, at, early)
                if any(one.customer_id in outcomes.failures for outcomes in found):
                    still.append(one)
                    continue
                for outcomes in found:
                    self._add_outcomes(outcomes, early=early)
            at = at.waiting_for(still)
            summaries.cursors = summaries.cursors.with_outcomes(at, early=early)

    def _outcomes_since(
        self, subject: MonitoredJourney, customer: str, since: int, until: LogPosition, early: bool
    ) -> list[OutcomesByDeadline]:
        """Of one customer's decisions between two positions, hour by hour."""
        age_s = _age_s(subject.attribution, early=early)
        events = self._log.events_since({customer: since}).get(customer, [])
        events = [event for event in events if event.seq <= until.position]
        return [
            self._outcomes(subject.attribution, list(group), (hour + 1) * HOUR_S + age_s)
            for hour, group in groupby(events, key=_hour)
        ]

    def _add_outcomes(self, outcomes: OutcomesByDeadline, *, early: bool) -> None:
        """Add them to the days of their decisions."""
        by_day: dict[date, list[Credit]] = defaultdict(list)
        for credit in outcomes.credits:
            by_day[credit.decision.occurred_at.date()].append(credit)
        decisions = {} if early else self._log.decisions(list(outcomes.decided))
        for day, credits in by_day.items():
            if early:
                summary = DailySummary(early=early_outcomes(credits))
            else:
                settled = settled_outcomes(credits, decisions, outcomes.naming)
                summary = DailySummary(settled=settled)
            self.summaries.add(day, summary)

    def _outcomes(
        self, attribution: Attribution, events: Sequence[Event], until_s: float
    ) -> OutcomesByDeadline:
        """Of our own decisions among the events, by what was received until then."""
        decided = {
            event.decision_id or "": event
            for event in events
            if event.name == ACTION_DECIDED
            and "propensity" in event.properties
            and "context_seq" in event.properties
        }
        if not decided:
            return OutcomesByDeadline({}, [], [], {})
        before = events[0].seq - 1
        customers = dict.fromkeys((event.customer_id for event in decided.values()), before)
        histories = self._log.events_since(customers).values()
        naming = self._log.outcomes_of(list(decided))
        until = datetime.fromtimestamp(until_s, tz=events[0].received_at.tzinfo)
        known = [
            event
            for event in chain(naming, *histories)
            if event.received_at <= until
            # another decision changes nothing, unless an event counts for the last one alone
            and (
                event.name != ACTION_DECIDED
                or event.decision_id in decided
                or attribution.rule.credit == "last"
            )
        ]
        credits, failures = credits_and_failures(attribution, known, until_s)
        return OutcomesByDeadline(
            decided=decided,
            credits=[credit for credit in credits if credit.decision.decision_id in decided],
            naming=[event for event in naming if event.received_at <= until],
            failures=failures,
        )


def _age_s(attribution: Attribution, *, early: bool) -> float:
    """The age of a decision at which its outcomes are counted."""
    return min(EARLY_DAYS * DAY_S, attribution.horizon_s) if early else attribution.horizon_s


def _hour(event: Event) -> int:
    """The hour in which the event was received, since 1970 UTC."""
    return int(micros(event.received_at) / 1e6 // HOUR_S)
