"""Course: one version of a sub-journey with its rules read: when a step is over, what follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nba.customer.contact_history import ContactHistory, SubJourneyPosition
from nba.durations import HOUR_S
from nba.events.event import from_micros, micros
from nba.journey.policies import CONTACT_STATUSES
from nba.journey.sub_journeys import EXIT, Step, SubJourney
from nba.rules.rule import Names, Rule, parse_rule


class SubJourneyFlow:
    """A sub-journey with its rules parsed. Raises InvalidInput for a rule that cannot be read."""

    def __init__(self, given: SubJourney, names: Names) -> None:
        self.given = given
        self.steps = {step.id: (at, step) for at, step in enumerate(given.steps)}
        texts = {given.enter, given.leave}
        texts |= {step.when for step in given.steps}
        texts |= {branch.when for step in given.steps for branch in step.next}
        self._rules = {text: parse_rule(text, names) for text in texts if text is not None}

    @property
    def names(self) -> set[str]:
        """What its rules name."""
        return {name for rule in self._rules.values() for name in rule.names}

    def rule(self, text: str | None) -> Rule | None:
        """The parsed rule of a text in this definition."""
        return None if text is None else self._rules[text]

    def follows(self, step: Step, facts: Mapping[str, Any]) -> Step | None:
        """The step after this one, None where it goes to the exit."""
        for branch in step.next:
            rule = self.rule(branch.when)
            if rule is None or rule.holds(facts):
                return None if branch.to == EXIT else self.steps[branch.to][1]
        after = self.steps[step.id][0] + 1
        return self.given.steps[after] if after < len(self.given.steps) else None

    def over(
        self,
        position: SubJourneyPosition,
        step: Step,
        since_s: float,
        contact_history: ContactHistory,
        facts: Mapping[str, Any],
        now_s: float,
    ) -> str | None:
        """Why a step that she came to at `since_s` is over, None where it lasts.

        An event of that very moment came before it: it does not end two steps at once.
        """
        begins_s = since_s + step.wait_hours * HOUR_S
        if now_s < begins_s:
            return None
        key = step_key(position, step)
        if step.done in CONTACT_STATUSES:
            for touch in contact_history.contacts:
                at_s = touch.status_s(step.done) if touch.step == key else None
                if at_s is not None and at_s >= since_s:
                    return f"{touch.action} was {step.done}"
        if any(
            mark.kind == step.done and mark.at_s > since_s
            for mark in contact_history.counted_events
        ):
            return f"{step.done} happened"
        if step.time_out_hours is not None and now_s >= begins_s + step.time_out_hours * HOUR_S:
            return f"{step.time_out_hours:g} hours are over"
        when = self.rule(step.when)
        if when is not None and not when.holds(facts):
            return f"skipped: {when.failing(facts)}"
        if step.action is None and step.time_out_hours is None and step.done in CONTACT_STATUSES:
            return f"{step.wait_hours:g} hours of waiting are over"
        return None


def step_key(position: SubJourneyPosition, step: Step) -> str:
    """What names this step of this passage."""
    return f"{position.episode}/{step.id}"


def due(step: Step, now: datetime) -> tuple[datetime, ...]:
    """When a step that begins to wait now is looked at again: at its beginning and its end."""
    begins_s = step.wait_hours * HOUR_S
    due_s = [begins_s] if begins_s > 0 or step.outbound else []
    if step.time_out_hours is not None:
        due_s.append(begins_s + step.time_out_hours * HOUR_S)
    return tuple(from_micros(micros(now) + round(one * 1e6)) for one in due_s)
