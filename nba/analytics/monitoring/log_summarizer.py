"""The watch: what the log says of each day, read on from where the last pass stopped.

One replica at a time reads. Outcomes are looked at when every decision of an hour has reached the
same age, by what had been received then: it makes no difference how often, or how late, or by
whom the log is read.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from itertools import groupby
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
from nba.analytics.monitoring.summary_store import HEALTH, SummaryStore
from nba.customer.context import ContextSchema
from nba.durations import DAY_S, HOUR_S
from nba.errors import InvalidBundle
from nba.events.event import Event, micros
from nba.events.names import ACTION_DECIDED
from nba.journey.mapping import EventMapping
from nba.rewards.attribution import Attribution
from nba.rewards.changes import first_after
from nba.rewards.credit import Credit
from nba.stores.log import Log

logger = logging.getLogger("nba.serving")

KEPT_DAYS = 92
EARLY_DAYS = 1.0  # the age at which rewards are compared; the longest window where that is shorter
PAGE = 5_000  # events at a time
DECISIONS = 1_000  # at a time
MIN_ROWS = 500  # contexts before columns are cut
SAMPLES, SAMPLE = 20, 200  # places of the log, and decisions at each, that a cut is made of


class MonitoredJourney(NamedTuple):
    """What is watched: a journey with the rule of its rewards, and the champion on it."""

    schema: ContextSchema
    mapping_of: Callable[[Event], EventMapping | None]
    attribution: Attribution
    champion: str | None


class SummaryPass(NamedTuple):
    """What one pass has read."""

    events: int = 0
    decisions: int = 0
    more: bool = False  # it was stopped before the end


class OutcomesByDeadline(NamedTuple):
    """What had come of some decisions by a moment."""

    decided: dict[str, Event]  # by decision id
    credits: list[Credit]
    naming: list[Event]


class LogSummarizer:
    """Passes over the log."""

    def __init__(
        self, log: Log, subject: Callable[[], MonitoredJourney], now: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._subject = subject
        self._now = now
        self.shelf = SummaryStore(log, KEPT_DAYS)
        self._tried = -MIN_ROWS  # position at which no cut could be made yet

    def step(
        self,
        stopping: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda events: None,
    ) -> SummaryPass | None:
        """Read up to the end of the log; None where another replica does.

        Raises StoreUnavailable.
        """
        with self._log.turn(HEALTH) as mine:
            return self._pass(stopping, progress) if mine else None

    def _pass(self, stopping: Callable[[], bool], progress: Callable[[int], None]) -> SummaryPass:
        shelf, now = self.shelf, self._now()
        try:
            shelf.load()
        except InvalidBundle as error:
            logger.warning("the health of the loop is read anew: %s", error)
            shelf.clear()
        if not shelf.begun and not shelf.days:
            first = self._after(now, KEPT_DAYS)
            shelf.places = replace(
                shelf.places, told=first, drawn=first, early=first, settled=first
            )
        subject = self._subject()
        self._cut(subject, now)
        seen = SummaryPass()
        while not stopping():
            events = self._read_events(subject)
            decisions = self._read_decisions()
            moved = [self._read_outcomes(subject, now, early) for early in (True, False)]
            seen = SummaryPass(seen.events + events, seen.decisions + decisions)
            progress(events)
            shelf.save(now)
            if not (events or decisions or any(moved)):
                return seen
        return seen._replace(more=True)

    def _after(self, now: datetime, days: float) -> int:
        return first_after(self._log, micros(now) / 1e6 - days * DAY_S)

    def _cut(self, subject: MonitoredJourney, now: datetime) -> None:
        """Choose the bins anew where the columns are others, or another champion came."""
        shelf, schema = self.shelf, subject.schema
        known = shelf.cut
        wanted = (schema.schema_hash, subject.champion)
        if known is not None and (known.schema, known.bundle_id) == wanted:
            return
        end = self._log.position()
        if end - self._tried < MIN_ROWS:
            return
        self._tried = end
        begin = self._after(now, REFERENCE_DAYS + WINDOW_DAYS + 1)
        places = np.linspace(begin, end, SAMPLES, endpoint=False).astype(int).tolist()
        found = {
            one.decision_id: one
            for place in places
            for _, one in self._log.page_decisions(place, SAMPLE)
        }
        rows = context_rows(list(found.values()), schema.schema_hash)
        if len(rows) >= MIN_ROWS:
            cut = choose_bins(schema.schema_hash, schema.columns, rows, subject.champion)
            shelf.recut(cut, begin)

    def _read_events(self, subject: MonitoredJourney) -> int:
        shelf = self.shelf
        events = self._log.page_events(shelf.places.told, PAGE)
        by_day: dict[date, list[Event]] = defaultdict(list)
        for event in events:
            by_day[event.received_at.date()].append(event)
        for when, mine in by_day.items():
            known = shelf.days.get(when, DailySummary()).told.unmapped.names
            told = count_events(mine, subject.schema.journey, subject.mapping_of, known)
            shelf.add(when, DailySummary(told=told))
        if events:
            shelf.places = replace(shelf.places, told=events[-1].seq)
        return len(events)

    def _read_decisions(self) -> int:
        shelf = self.shelf
        page = self._log.page_decisions(shelf.places.drawn, DECISIONS)
        dated = sorted(((one.decided_at.date(), one) for _, one in page), key=lambda pair: pair[0])
        for when, pairs in groupby(dated, key=lambda pair: pair[0]):
            drawn = count_decisions([one for _, one in pairs], shelf.cut)
            shelf.add(when, DailySummary(drawn=drawn))
        if page:
            shelf.places = replace(shelf.places, drawn=page[-1][0])
        return len(page)

    def _read_outcomes(self, subject: MonitoredJourney, now: datetime, early: bool) -> bool:
        """Look at the decisions that have reached the age; whether there were any events."""
        shelf, rule = self.shelf, subject.attribution
        age_s = min(EARLY_DAYS * DAY_S, rule.horizon_s) if early else rule.horizon_s
        place = shelf.places.early if early else shelf.places.settled
        events = self._log.page_events(place, PAGE)
        ripe = 0
        for hour, group in groupby(events, key=_hour):
            mine = list(group)
            until_s = (hour + 1) * HOUR_S + age_s
            if until_s > micros(now) / 1e6:
                break
            ripe = mine[-1].seq
            found = self._outcomes(rule, mine, until_s)
            for when, day in self._came(found, early):
                shelf.add(when, day)
        if ripe == 0:
            return False
        changed = {"early": ripe} if early else {"settled": ripe}
        shelf.places = replace(shelf.places, **changed)
        return True

    def _came(self, found: OutcomesByDeadline, early: bool) -> list[tuple[date, DailySummary]]:
        """The outcomes by the day of their decision."""
        by_day: dict[date, list[Credit]] = defaultdict(list)
        for credit in found.credits:
            by_day[credit.decision.occurred_at.date()].append(credit)
        if early:
            return [
                (when, DailySummary(early=early_outcomes(mine))) for when, mine in by_day.items()
            ]
        decisions = self._log.decisions(list(found.decided))
        return [
            (when, DailySummary(settled=settled_outcomes(mine, decisions, found.naming)))
            for when, mine in by_day.items()
        ]

    def _outcomes(
        self, rule: Attribution, events: Sequence[Event], until_s: float
    ) -> OutcomesByDeadline:
        """Of our own decisions among the events, by what was received until then."""
        decided = {
            one.decision_id or "": one
            for one in events
            if one.name == ACTION_DECIDED
            and "propensity" in one.properties
            and "context_seq" in one.properties
        }
        if not decided:
            return OutcomesByDeadline({}, [], [])
        customers = dict.fromkeys((one.customer_id for one in decided.values()), events[0].seq - 1)
        told = [one for mine in self._log.events_since(customers).values() for one in mine]
        naming = self._log.outcomes_of(list(decided))
        until = datetime.fromtimestamp(until_s, tz=events[0].received_at.tzinfo)
        known = [
            one
            for one in (*naming, *told)
            if one.received_at <= until
            # another decision changes nothing, unless an event counts for the last one alone
            and (
                one.name != ACTION_DECIDED
                or one.decision_id in decided
                or rule.rule.credit == "last"
            )
        ]
        credits = rule.credits(known, until_s)
        ours = [one for one in credits if one.decision.decision_id in decided]
        return OutcomesByDeadline(
            decided, ours, [one for one in naming if one.received_at <= until]
        )


def _hour(event: Event) -> int:
    """The hour in which it was received, since 1970 UTC."""
    return int(micros(event.received_at) / 1e6 // HOUR_S)
