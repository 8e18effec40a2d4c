"""Attribution: which events count for which decision, and what they make its reward.

One rule, for what is learned online, what is learned in batches and what is reported. It is a
function of the decisions and events that it is given (those of the log up to some position) and of
the log's end: their order, and events that are given twice, change nothing.

Which decisions count, and from when: `nba.rewards.validity`.

What counts for it, by when it occurred, until its window closes:
- An outcome that names it. For `target: response` a positive one is 1, a negative one 0.
- `Reward Given` names it and states its reward so far, in place of all that came before it.
- Her later events of the kinds that its action declares, or else, for `target: value`, the file.
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
from typing import NamedTuple, TypeAlias

from nba.events.event import Event
from nba.events.names import ACTION_DECIDED, REWARD_GIVEN
from nba.journey.file import JourneyFile
from nba.rewards.credit import Credit, Readings, carried
from nba.rewards.terms import ActionTerms, action_terms, bounds_of, reward_version
from nba.rewards.validity import ACTION_FEEDBACK, Standing, at_s, in_order, standing_of, when

KindOf: TypeAlias = Callable[[Event], str | None]  # the mapped kind of an event, None for none


class _Told(NamedTuple):
    """An event that may count for a decision."""

    at_s: float
    event: Event
    kind: str | None


class _Entry(NamedTuple):
    """What one event adds to a reward."""

    told: _Told
    amount: float
    against: bool = False  # it is taken off
    states: bool = False  # it stands for all that came before it


class _Window(NamedTuple):
    """Of one decision: what may count for it, and when."""

    decision: Event
    terms: ActionTerms
    named: Sequence[_Told]  # events that name it, in order of time
    standing: Standing
    since_s: float
    closes_s: float
    from_sign: bool  # it begins with a sign that may itself count

    def holds(self, told: _Told) -> bool:
        """Whether an event that need not name the decision falls into it."""
        begun = told.at_s >= self.since_s if self.from_sign else told.at_s > self.since_s
        return begun and told.at_s <= self.closes_s


class Attribution:
    """The reward rule of a journey file. `kind_of` gives the mapped kind of an event.

    `version` names the rule, `horizon_s` is its longest window, and rewards lie within `low` and
    `high`. `has_terms`: rewards wait for `read` after their window has closed.
    """

    def __init__(self, journey: JourneyFile, kind_of: KindOf) -> None:
        self.rule = rule = journey.reward
        self._kind_of = kind_of
        self._response = rule.target == "response"
        self._stay_eur = journey.arbitration.customer_value_eur if rule.staying else 0.0
        self._amount_of = {mapping.id: mapping.amount for mapping in journey.events}
        self._outcome_of = {mapping.id: mapping.outcome for mapping in journey.events}
        self._common = action_terms(rule)
        self._terms = {action.id: action_terms(rule, action.reward) for action in journey.actions}
        self._value_of = {action.id: action.value_eur for action in journey.actions}
        self._cost_of = {action.id: action.cost_eur for action in journey.actions}
        every = (self._common, *self._terms.values())
        self._declared = frozenset[str]().union(*(one.plus | one.minus for one in every))
        claims = {kind for kind, outcome in self._outcome_of.items() if outcome is not None}
        claims |= self._declared
        self._mapped = {mapping.event for mapping in journey.events if mapping.id in claims}
        self._telling = {ACTION_DECIDED, REWARD_GIVEN, *ACTION_FEEDBACK, *self._mapped}
        self.horizon_s = max(one.window_s for one in every)  # of the longest window
        self.has_terms = self._stay_eur != 0.0 or rule.feeling_eur != 0.0
        self.low, self.high = bounds_of(rule)
        self.version = reward_version(journey)

    def credits(self, events: Iterable[Event], end_s: float) -> list[Credit]:
        """One credit for each decision among the events, in order of time.

        `events`: all of the customers concerned and all that name their decisions, up to one
        position of the log. `end_s`: until when the log is known, seconds since 1970 UTC.
        """
        decisions: list[Event] = []
        named: dict[str, list[_Told]] = defaultdict(list)
        lived: dict[str, list[_Told]] = defaultdict(list)
        for event in in_order(event for event in events if event.name in self._telling):
            if event.name == ACTION_DECIDED:
                decisions.append(event)
                continue
            mapped = event.name in self._mapped
            told = _Told(at_s(event), event, self._kind_of(event) if mapped else None)
            if event.decision_id:
                named[event.decision_id].append(told)
            if told.kind in self._declared:
                lived[event.customer_id].append(told)
        windows = [self._window(one, named.get(one.decision_id or "", ())) for one in decisions]
        if self.rule.credit == "last":
            return self._to_the_last(windows, lived, end_s)
        times = {customer: [told.at_s for told in mine] for customer, mine in lived.items()}
        found = []
        for window in windows:
            customer = window.decision.customer_id
            inside: list[_Told] = []
            if customer in times and window.standing == "counted":
                first = bisect_left(times[customer], window.since_s)
                last = bisect_right(times[customer], window.closes_s)
                inside = lived[customer][first:last]
            found.append(self._credit(window, inside, end_s))
        return found

    def concerns(self, event: Event) -> bool:
        """Whether an event can change any credit."""
        return event.name in self._telling

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

    def carried(self, credits: Sequence[Credit]) -> list[Credit]:
        """The credits with what their sub-journeys' next steps carry back; see `credit.carried`."""
        return carried(credits, self.rule.carry, self.low, self.high)

    def reported_eur(self, credit: Credit, annoyance_eur: float = 0.0) -> float:
        """What the decision was worth less what the contact cost: for reports, never to learn
        from, since arbitration takes cost and annoyance off what was learned.

        `annoyance_eur`: of the drawn candidate, as it was logged.
        """
        action = credit.decision.properties.get("action_id")
        worth = self._value_of.get(str(action), 0.0) if self._response else 1.0
        less = self._cost_of.get(str(action), 0.0)
        return credit.reward * worth - less - (annoyance_eur if self.rule.annoyance else 0.0)

    def _window(self, decision: Event, named: Sequence[_Told]) -> _Window:
        terms = self._terms.get(str(decision.properties.get("action_id")), self._common)
        standing, since_s = standing_of(decision, (told.event for told in named))
        closes_s = since_s + terms.window_s if standing == "counted" else inf
        from_sign = since_s > at_s(decision)
        return _Window(decision, terms, named, standing, since_s, closes_s, from_sign)

    def _to_the_last(
        self, windows: Sequence[_Window], lived: Mapping[str, Sequence[_Told]], end_s: float
    ) -> list[Credit]:
        """Each event that names no decision to the last one in whose window it falls."""
        of: dict[str, list[int]] = defaultdict(list)
        for n, window in enumerate(windows):
            if window.standing == "counted":
                of[window.decision.customer_id].append(n)
        inside: dict[int, list[_Told]] = defaultdict(list)
        for customer, mine in of.items():
            mine.sort(key=lambda n: windows[n].since_s)
            begins = [windows[n].since_s for n in mine]
            for told in lived.get(customer, ()):
                for n in reversed(mine[: bisect_right(begins, told.at_s)]):
                    terms = windows[n].terms
                    if windows[n].holds(told) and terms.declares(told.kind or ""):
                        inside[n].append(told)
                        break
        return [self._credit(window, inside[n], end_s) for n, window in enumerate(windows)]

    def _credit(self, window: _Window, inside: Sequence[_Told], end_s: float) -> Credit:
        """`inside`: her events around the window that may count for it."""
        if window.standing != "counted":
            return Credit(
                *(window.decision, window.standing, window.since_s, inf, False, False),
                *(0.0, 0.0, False, 0, 0, 0),
            )
        strict = window.terms.own or self.rule.credit == "last"
        entries: list[_Entry] = []
        late = unreadable = 0
        for told in window.named:
            if told.at_s > window.closes_s:
                late += self._tells(told, window.terms)
            elif (found := self._claim(told, window.terms, strict)) is not None:
                entries.append(found)
            else:
                unreadable += told.event.name == REWARD_GIVEN
        for told in inside:
            if window.holds(told) and not (strict and told.event.decision_id):
                entry = self._entry(told, window.terms)
                if entry is not None:
                    entries.append(entry)
        earned = _earned(entries, window.terms)
        return Credit(
            *(window.decision, window.standing, window.since_s, window.closes_s),
            *(window.closes_s <= end_s, bool(entries), earned, self._bounded(earned)),
            *(self.has_terms, len(entries), late, unreadable),
        )

    def _tells(self, told: _Told, terms: ActionTerms) -> bool:
        """Whether an event that names the decision is an outcome, and no mere sign."""
        kind = told.kind or ""
        outcome = self._outcome_of.get(kind)
        return told.event.name == REWARD_GIVEN or outcome is not None or terms.declares(kind)

    def _claim(self, told: _Told, terms: ActionTerms, strict: bool) -> _Entry | None:
        """What an event that names the decision adds, by naming it."""
        if told.event.name == REWARD_GIVEN:
            given = _number(told.event, "reward")
            return None if given is None else _Entry(told, self._bounded(given), states=True)
        if strict and (entry := self._entry(told, terms)) is not None:
            return entry
        outcome = self._outcome_of.get(told.kind or "") if self._response else None
        return None if outcome is None else _Entry(told, float(outcome == "positive"))

    def _entry(self, told: _Told, terms: ActionTerms) -> _Entry | None:
        """What an event of a declared kind adds."""
        if told.kind is None or not terms.declares(told.kind):
            return None
        amount = terms.worth
        if amount is None:
            name = self._amount_of.get(told.kind)
            amount = 1.0 if self._response else _number(told.event, name or "") or 0.0
        return _Entry(told, amount, against=told.kind in terms.minus)

    def _bounded(self, reward: float) -> float:
        return min(max(reward, self.low), self.high)


def is_late(
    journey: JourneyFile, outcome: Event, decision: Event, named: Iterable[Event] = ()
) -> bool:
    """Whether an outcome comes after the window of the decision that it names.

    `decision`: its `Action Decided`. `named`: what names it; only a deferred one needs that.
    """
    drawn = decision.properties.get("action_id")
    own = next((action.reward for action in journey.actions if action.id == drawn), None)
    standing, since_s = standing_of(decision, in_order(named))
    window_s = action_terms(journey.reward, own).window_s
    return standing == "counted" and at_s(outcome) > since_s + window_s


def _earned(entries: Sequence[_Entry], terms: ActionTerms) -> float:
    """The reward that these entries make, before terms and bounds."""
    if not entries:
        return terms.default
    ordered = sorted(entries, key=lambda entry: when(entry.told.event))
    stated = max((n for n, entry in enumerate(ordered) if entry.states), default=0)
    ordered = ordered[stated:]
    plus = [entry.amount for entry in ordered if not entry.against]
    minus = [-entry.amount for entry in ordered if entry.against]
    if plus and terms.aggregate != "sum":
        plus = [max(plus) if terms.aggregate == "max" else plus[0]]
    return fsum((*plus, *minus))


def _number(event: Event, name: str) -> float | None:
    value = event.properties.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None
