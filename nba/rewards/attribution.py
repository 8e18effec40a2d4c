"""Attribution: which events count for which decision, and what they make its reward.

One rule, for what is learned online, what is learned in batches and what is reported. It is a
function of the decisions and events (those of the log up to some position) and of
the log's end: their order, and events that come twice, change nothing.

Every decision counts, whatever was drawn and whether it arrived: `nba.rewards.validity`. Its reward
is known when the longest window of the file is over, of a deferred one a second one: neither may
depend on what was drawn, or the decisions that are learned from would.

What counts for it, by when it occurred, until its window closes:
- An outcome that names it. For `target: response` a positive one is 1, a negative one 0; with
  `outcomes: last` each stands in place of all that came before it.
- `Reward Given` names it and states its reward so far, in place of all that came before it.
- Later events of its customer, of the kinds that its action declares, or else, for
  `target: value`, the file.
  By the file's own rule each event counts for every decision within whose window it falls. An
  event that names a decision counts for that one alone where an action declares the kind, and
  everywhere with `credit: last`, by which any other event counts for the last such decision.
The `events` are aggregated (sum, max or the earliest), `minus` is taken off. Silence is worth the
default. What comes after the window changes nothing and is counted as late.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import fsum, inf, isnan
from typing import TypeAlias

from nba.events.event import Event
from nba.events.names import ACTION_DECIDED, ACTION_FEEDBACK, REWARD_GIVEN
from nba.events.numbers import number_of
from nba.journey.file import JourneyFile
from nba.rewards.credit import Carry, Credit, Readings, carried
from nba.rewards.terms import (
    ActionTerms,
    action_terms,
    bounds_of,
    reward_version,
    stated_bounds,
)
from nba.rewards.validity import at_s, in_order, is_deferred, reach_of
from nba.rewards.windows import Entry, Occurrence, Window, arrivals_of, reward_of

KindOf: TypeAlias = Callable[[Event], str | None]  # the mapped kind of an event, None for none


class Attribution:
    """The reward rule of a journey file. `kind_of` gives the mapped kind of an event.

    `version` names the rule, `horizon_s` is its longest window, and rewards lie within `low` and
    `high`. `has_terms`: rewards wait for `read` after their window has closed.
    """

    def __init__(self, journey: JourneyFile, kind_of: KindOf) -> None:
        self.rule = rule = journey.reward
        self.kind_of = kind_of
        self._response = rule.target == "response"
        self._stay_eur = journey.arbitration.customer_value_eur if rule.staying else 0.0
        self._mapping_of = {mapping.id: mapping for mapping in journey.events}
        self._outcome_of = {mapping.id: mapping.outcome for mapping in journey.events}
        self._common = action_terms(rule)
        self._terms = {action.id: action_terms(rule, action.reward) for action in journey.actions}
        self._value_of = {action.id: action.value_eur for action in journey.actions}
        self._cost_of = {action.id: action.cost_eur for action in journey.actions}
        terms = (self._common, *self._terms.values())
        self._declared = frozenset[str]().union(*(each.plus | each.minus for each in terms))
        claims = {kind for kind, outcome in self._outcome_of.items() if outcome is not None}
        claims |= self._declared
        self._mapped = {mapping.event for mapping in journey.events if mapping.id in claims}
        self._relevant = {ACTION_DECIDED, REWARD_GIVEN, *ACTION_FEEDBACK, *self._mapped}
        self.horizon_s = max(each.window_s for each in terms)  # of the longest window
        # when every reward is known, deferred or not, with what later steps carry back
        self.settled_within_s = (2.0 + (rule.carry > 0.0)) * self.horizon_s
        self.has_terms = self._stay_eur != 0.0 or rule.feeling_eur != 0.0
        self.low, self.high = bounds_of(rule)
        self.version = reward_version(journey)

    def credits(self, events: Iterable[Event], end_s: float) -> list[Credit]:
        """One credit for each decision among the events, in order of time.

        `events`: all of the customers concerned and all that name their decisions, up to one
        position of the log. `end_s`: until when the log is known, seconds since 1970 UTC.
        """
        decisions: list[Event] = []
        named: dict[str, list[Occurrence]] = defaultdict(list)
        declared: dict[str, list[Occurrence]] = defaultdict(list)
        for event in in_order(event for event in events if event.name in self._relevant):
            if event.name == ACTION_DECIDED:
                decisions.append(event)
                continue
            mapped = event.name in self._mapped
            occurrence = Occurrence(at_s(event), event, self.kind_of(event) if mapped else None)
            if event.decision_id:
                named[event.decision_id].append(occurrence)
            if occurrence.kind in self._declared:
                declared[event.customer_id].append(occurrence)
        windows = [
            self._window(decision, named.get(decision.decision_id or "", ()))
            for decision in decisions
        ]
        if self.rule.credit == "last":
            return self._to_the_last(windows, declared, end_s)
        times = {
            customer: [occurrence.at_s for occurrence in occurrences]
            for customer, occurrences in declared.items()
        }
        credits = []
        for window in windows:
            customer = window.decision.customer_id
            inside: list[Occurrence] = []
            if customer in times and window.reach != "malformed":
                first = bisect_left(times[customer], window.made_s)
                last = bisect_right(times[customer], window.closes_s)
                inside = declared[customer][first:last]
            credits.append(self._credit(window, inside, end_s))
        return credits

    def settled_after_s(self, decision: Event) -> float:
        """How long after a decision its reward is known: a deferred one may be activated within
        one window, and its outcomes come within the next."""
        return (1.0 + is_deferred(decision)) * self.horizon_s

    def concerns(self, event: Event) -> bool:
        """Whether an event can change any credit."""
        return event.name in self._relevant

    def silence(self, action_id: str) -> float:
        """What a decision for this action is worth before anything came of it."""
        return self._bounded(self._terms.get(action_id, self._common).default)

    def waits_s(self, action_id: str, *, deferred: bool) -> float:
        """At which age of a decision for this action nothing more is to come: a deferred one is
        activated first, and what the next step carries back may take as long again."""
        if self.rule.carry > 0.0:
            return self.horizon_s * (2.0 + deferred)
        return self._terms.get(action_id, self._common).window_s + self.horizon_s * deferred

    def read(self, credit: Credit, readings: Readings) -> Credit:
        """The credit with the terms that are known only when its window has closed.

        It stays unread where a reading that the rule needs is NaN.
        """
        if not (credit.unread and credit.closed):
            return credit
        before, after = readings
        terms = [credit.earned]
        if self._stay_eur:
            terms.append(self._stay_eur * (before.churn_risk - after.churn_risk))
        if self.rule.feeling_eur:
            terms.append(self.rule.feeling_eur * (after.emotion - before.emotion))
        reward = fsum(terms)
        if isnan(reward):
            return credit
        return credit._replace(reward=self._bounded(reward), unread=False)

    def carried(self, credits: Sequence[Credit], end_s: float) -> list[Credit]:
        """The credits with what the next steps of their sub-journeys carry back, for a window
        longer than their own reward takes; `credit.carried`, of the same `end_s` as they are."""
        carry = Carry(self.rule.carry, self.horizon_s, self.low, self.high)
        return carried(credits, carry, end_s)

    def reported_eur(self, credit: Credit, annoyance_eur: float = 0.0) -> float:
        """What the decision was worth less what the contact cost: for reports, never to learn
        from, since arbitration takes cost and annoyance off what was learned.

        `annoyance_eur`: of the drawn candidate, as it was logged.
        """
        action = credit.decision.properties.get("action_id")
        worth = self._value_of.get(str(action), 0.0) if self._response else 1.0
        if not credit.reached:  # nothing was paid, and nobody was annoyed
            return credit.reward * worth
        less = self._cost_of.get(str(action), 0.0)
        return credit.reward * worth - less - (annoyance_eur if self.rule.annoyance else 0.0)

    def _window(self, decision: Event, named: Sequence[Occurrence]) -> Window:
        terms = self._terms.get(str(decision.properties.get("action_id")), self._common)
        reach, since_s = reach_of(decision, (occurrence.event for occurrence in named))
        return Window(decision, terms, named, reach, at_s(decision), since_s)

    def _to_the_last(
        self,
        windows: Sequence[Window],
        declared: Mapping[str, Sequence[Occurrence]],
        end_s: float,
    ) -> list[Credit]:
        """Each event that names no decision to the last one in whose window it falls."""
        counted: dict[str, list[int]] = defaultdict(list)
        for n, window in enumerate(windows):
            if window.reach != "malformed":
                counted[window.decision.customer_id].append(n)
        inside: dict[int, list[Occurrence]] = defaultdict(list)
        for customer, numbers in counted.items():
            numbers.sort(key=lambda n: windows[n].made_s)
            begins = [windows[n].made_s for n in numbers]
            for occurrence in declared.get(customer, ()):
                for n in reversed(numbers[: bisect_right(begins, occurrence.at_s)]):
                    terms = windows[n].terms
                    if windows[n].holds(occurrence) and terms.declares(occurrence.kind or ""):
                        inside[n].append(occurrence)
                        break
        return [self._credit(window, inside[n], end_s) for n, window in enumerate(windows)]

    def _credit(self, window: Window, inside: Sequence[Occurrence], end_s: float) -> Credit:
        """`inside`: the customer's events around the window that may count for it."""
        if window.reach == "malformed":
            return Credit(
                decision=window.decision,
                reach=window.reach,
                since_s=window.since_s,
                closes_s=inf,
                settles_s=inf,
                closed=False,
                answered=False,
                earned=0.0,
                reward=0.0,
                unread=False,
                outcomes=0,
                late=0,
                unreadable=0,
            )
        strict = window.terms.own or self.rule.credit == "last"
        entries: list[Entry] = []
        late = unreadable = 0
        for occurrence in window.named:
            if occurrence.at_s > window.named_until_s:
                late += self._is_outcome(occurrence, window.terms)
            elif (claim := self._claim(occurrence, window.terms, strict)) is not None:
                entries.append(claim)
            else:
                unreadable += occurrence.event.name == REWARD_GIVEN
        for occurrence in inside:
            if window.holds(occurrence) and not (strict and occurrence.event.decision_id):
                entry = self._entry(occurrence, window.terms)
                if entry is not None:
                    entries.append(entry)
        earned = reward_of(entries, window.terms)
        settles_s = window.made_s + self.settled_after_s(window.decision)
        return Credit(
            decision=window.decision,
            reach=window.reach,
            since_s=window.since_s,
            closes_s=window.closes_s,
            settles_s=settles_s,
            closed=settles_s <= end_s,
            answered=bool(entries),
            earned=earned,
            reward=self._bounded(earned),
            unread=self.has_terms,
            outcomes=len(entries),
            late=late,
            unreadable=unreadable,
            arrivals=arrivals_of(
                entries, window, lambda some: self._bounded(reward_of(some, window.terms))
            ),
        )

    def _is_outcome(self, occurrence: Occurrence, terms: ActionTerms) -> bool:
        """Whether an event that names the decision is an outcome, and no mere sign."""
        kind = occurrence.kind or ""
        outcome = self._outcome_of.get(kind)
        return occurrence.event.name == REWARD_GIVEN or outcome is not None or terms.declares(kind)

    def _claim(self, occurrence: Occurrence, terms: ActionTerms, strict: bool) -> Entry | None:
        """What an event that names the decision adds, by naming it."""
        if occurrence.event.name == REWARD_GIVEN:
            reward = number_of(occurrence.event.properties.get("reward"), *stated_bounds(self.rule))
            return None if reward is None else Entry(occurrence, self._bounded(reward), states=True)
        if strict and (entry := self._entry(occurrence, terms)) is not None:
            return entry
        outcome = self._outcome_of.get(occurrence.kind or "") if self._response else None
        if outcome is None:
            return None
        last_word = self.rule.outcomes == "last"
        return Entry(occurrence, float(outcome == "positive"), states=last_word)

    def _entry(self, occurrence: Occurrence, terms: ActionTerms) -> Entry | None:
        """What an event of a declared kind adds."""
        if occurrence.kind is None or not terms.declares(occurrence.kind):
            return None
        amount = terms.worth
        if amount is None:
            mapping = self._mapping_of[occurrence.kind]
            amount = (
                1.0 if self._response else mapping.amount_in(occurrence.event.properties) or 0.0
            )
        return Entry(occurrence, amount, against=occurrence.kind in terms.minus)

    def _bounded(self, reward: float) -> float:
        return min(max(reward, self.low), self.high)
