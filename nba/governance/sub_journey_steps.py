"""The flow of one sub-journey: parsed rules, the end of each step and its successor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from nba.customer.contact_history import ContactHistory, run_of
from nba.customer.contact_history_fold import apply_sub_journey_move
from nba.customer.context import UNMAPPED
from nba.customer.sub_journey_keys import happened_s, waiting_runs
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.durations import HOUR_S
from nba.events.event import from_micros, micros
from nba.events.names import OUR_EVENTS
from nba.governance.rule_inputs import RuleInputs
from nba.journey.file import JourneyFile
from nba.journey.policies import CONTACT_STATUSES
from nba.journey.sub_journeys import EXIT, Step, SubJourney
from nba.rules.rule import Names, Rule, parse_rule


class SubJourneyInputs(NamedTuple):
    """The inputs of sub-journeys: one customer at one moment."""

    customer_id: str
    history: ContactHistory
    facts: RuleInputs
    now: datetime  # UTC

    @property
    def now_s(self) -> float:
        """Now, in seconds since 1970 UTC."""
        return micros(self.now) / 1e6

    def after(self, move: SubJourneyMove) -> SubJourneyInputs:
        """The same customer at the same moment, after a move."""
        event = move.as_event(self.customer_id, self.now)
        history = apply_sub_journey_move(self.history, event.name, event.properties, self.now_s)
        return self._replace(history=history, facts=self.facts.after(history))


class SubJourneyFlow:
    """A sub-journey with its rules parsed. Raises InvalidInput for a rule that cannot be read."""

    def __init__(self, sub_journey: SubJourney, names: Names) -> None:
        self.sub_journey = sub_journey
        self.definition = sub_journey.definition()
        self.steps = {step.id: (at, step) for at, step in enumerate(sub_journey.steps)}
        texts = {sub_journey.enter, sub_journey.leave}
        texts |= {step.when for step in sub_journey.steps}
        texts |= {branch.when for step in sub_journey.steps for branch in step.next}
        self._rules = {text: parse_rule(text, names) for text in texts if text is not None}

    @property
    def names(self) -> set[str]:
        """What its rules name."""
        return {name for rule in self._rules.values() for name in rule.names}

    def rule(self, text: str | None) -> Rule | None:
        """The parsed rule of a text in this definition."""
        return None if text is None else self._rules[text]

    def waiting(self, history: ContactHistory) -> list[str]:
        """The runs of a keyed sub-journey that may begin now."""
        enter = self._rules[self.sub_journey.enter]
        kinds = {name.rpartition(".")[0] for name in enter.names}
        return waiting_runs(history, self.sub_journey.id, kinds)

    def following(self, step: Step, facts: Mapping[str, Any]) -> Step | None:
        """The step after this one, None where it goes to the exit."""
        for branch in step.next:
            rule = self.rule(branch.when)
            if rule is None or rule.holds(facts):
                return None if branch.to == EXIT else self.steps[branch.to][1]
        after = self.steps[step.id][0] + 1
        return self.sub_journey.steps[after] if after < len(self.sub_journey.steps) else None

    def step_over(
        self, step: Step, inputs: SubJourneyInputs, *, episode: str, since_s: float
    ) -> str | None:
        """Why a step that the customer came to at `since_s` is over, None where it lasts.

        An event of that very moment came before it: it does not end two steps at once.
        """
        begins_s, now_s = since_s + step.wait_hours * HOUR_S, inputs.now_s
        if now_s < begins_s:
            return None
        if step.done in CONTACT_STATUSES:
            key = step_key(episode, step)
            for contact in inputs.history.contacts:
                at_s = contact.status_s(step.done) if contact.step == key else None
                if at_s is not None and at_s >= since_s:
                    return f"{contact.action} was {step.done}"
        happened = happened_s(inputs.history, run_of(episode), [step.done])
        if any(at_s > since_s for at_s in happened):
            return f"{step.done} happened"
        if step.time_out_hours is not None and now_s >= begins_s + step.time_out_hours * HOUR_S:
            return f"{step.time_out_hours:g} hours are over"
        when = self.rule(step.when)
        if when is not None and not when.holds(inputs.facts):
            return f"skipped: {when.failing(inputs.facts)}"
        if step.action is None and step.time_out_hours is None and step.done in CONTACT_STATUSES:
            return f"{step.wait_hours:g} hours of waiting are over"
        return None


class EntryKinds:
    """The kinds of event that can take a customer into a sub-journey again: what they did, not what
    the log or a message of ours did by itself."""

    def __init__(self, journey: JourneyFile, segments: Mapping[str, Rule]) -> None:
        self._segments = segments
        self._known = {mapping.id for mapping in journey.events} | {UNMAPPED}
        self._known |= {detector.signal for detector in journey.detectors()}
        self._own = self._known - {m.id for m in journey.events if m.event in OUR_EVENTS}

    def of(self, names: Iterable[str]) -> set[str]:
        """Those that a rule with these names speaks of; of emotion, stages, traits and the like
        every kind speaks."""
        kinds: set[str] = set()
        for name in names:
            kind = name.rpartition(".")[0]
            if name in self._segments:
                kinds |= self.of(self._segments[name].names)
            elif kind in self._known:
                kinds.add(kind)
            elif not kind.startswith("contact."):  # how often we contacted them
                kinds |= self._own
        return kinds & self._own


def step_key(episode: str, step: Step) -> str:
    """What names this step of this passage."""
    return f"{episode}/{step.id}"


def due(step: Step, now: datetime) -> tuple[datetime, ...]:
    """When a step that begins to wait now is checked again: at its beginning and its end."""
    begins_s = step.wait_hours * HOUR_S
    due_s = [begins_s] if begins_s > 0 or step.outbound else []
    if step.time_out_hours is not None:
        due_s.append(begins_s + step.time_out_hours * HOUR_S)
    return tuple(from_micros(micros(now) + round(after_s * 1e6)) for after_s in due_s)
