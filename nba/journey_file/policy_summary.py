"""The policies as tables for their owner: rules, limits, consents, weights, sub-journeys."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from nba.journey.actions import INLINE_RULES, Action, Treatment
from nba.journey.file import JourneyFile

Row = tuple[str, ...]
RULES = ("rule", "layer", "concerns", "must hold", "lifted for")
LIMITS = ("limit", "concerns", "what")
WEIGHTS = ("weight or lever", "concerns", "factor", "while")
SUB_JOURNEYS = ("sub-journey", "step", "action", "when", "then")


def rule_rows(journey: JourneyFile) -> Iterator[Row]:
    """The engagement policy: the owner's rules, then those of actions and treatments."""
    for rule in journey.engagement:
        lifted = f"{rule.lifted_share:.1%}" if rule.lifted_share else "-"
        yield rule.id, rule.layer, concerns(rule), one_line(rule.when), lifted
    for action in journey.actions:
        parts: dict[str, Action | Treatment] = {action.id: action}
        parts |= {f"{action.id}.{part.id}": part for part in action.treatments}
        for name, part in parts.items():
            for field, layer in INLINE_RULES.items():
                text = getattr(part, field)
                if text is not None:
                    yield f"{name}.{field}", layer, name, one_line(text), "-"


def limit_rows(journey: JourneyFile) -> Iterator[Row]:
    """Caps, cool-downs, pauses, quiet hours, capacities, consents."""
    policy = journey.contact_policy
    for cap in policy.caps:
        days = f"{cap.days:g} {'calendar ' if cap.calendar else ''}days"
        what = f"at most {cap.times} {cap.on} within {days} per {cap.per}"
        yield cap.id, concerns(cap), what
    for cool_down in policy.cool_downs:
        contact = f"one was {cool_down.after}, per {cool_down.per}"
        yield (
            cool_down.id,
            concerns(cool_down),
            f"nothing for {cool_down.hours:g} hours after {contact}",
        )
    for pause in policy.pauses:
        often = f"{pause.after} {pause.times} times in {pause.days:g} days"
        what = f"{often} pauses it for {pause.pause_days:g} days, per {pause.per}"
        yield pause.id, concerns(pause), what
    for quiet in policy.quiet_hours:
        days = ", ".join(quiet.days) or "every day"
        then = "dropped" if quiet.blocked == "drop" else "kept until they are over"
        yield quiet.id, concerns(quiet), f"{quiet.from_} to {quiet.until}, {days}; {then}"
    for capacity in policy.capacities:
        unit = "contacts" if capacity.unit == "contacts" else "EUR of cost"
        yield capacity.id, concerns(capacity), f"{capacity.most:g} {unit} a {capacity.every}"
    for purpose, consent in journey.consents.items():
        actions = [action.id for action in journey.actions if action.purpose == purpose]
        what = f"{consent.default} by those who have said nothing"
        yield f"consent {purpose}", ", ".join(actions) or "no action", what


def weight_rows(journey: JourneyFile) -> Iterator[Row]:
    """Context weights and levers."""
    for weight in journey.weights:
        yield weight.id, concerns(weight), f"{weight.factor:g}", one_line(weight.when)
    for lever in journey.levers:
        span = f"until {lever.ends}" if lever.begins is None else f"{lever.begins} to {lever.ends}"
        yield lever.id, concerns(lever), f"{lever.factor:g}", span


def sub_journey_rows(journey: JourneyFile) -> Iterator[Row]:
    """Every sub-journey: who enters, its steps, how it ends."""
    for sub_journey in journey.sub_journeys:
        ends = [f"goal {sub_journey.goal}"] if sub_journey.goal else []
        ends += [f"left: {one_line(sub_journey.leave)}"] if sub_journey.leave else []
        ends += [f"over after {sub_journey.time_out_days:g} days"]
        enter = one_line(sub_journey.enter) + (
            f", per {sub_journey.per}" if sub_journey.per else ""
        )
        yield sub_journey.id, "enter", "-", enter, "; ".join(ends)
        for step in sub_journey.steps:
            branches = [
                f"to {branch.to}" + (f" if {one_line(branch.when)}" if branch.when else "")
                for branch in step.next
            ]
            when = f"after {step.wait_hours:g} h" if step.wait_hours else "at once"
            when += f", if {one_line(step.when)}" if step.when else ""
            then = "; ".join(branches) or "the next step"
            yield sub_journey.id, step.id, step.action or "-", when, then


def warnings(journey: JourneyFile) -> Iterator[tuple[str, str]]:
    """What the policies leave open."""
    policy = journey.contact_policy
    if journey.actions and not (policy.caps or policy.cool_downs):
        yield "contact_policy", "no cap and no cool-down: contacts are not limited"
    needed = {action.purpose for action in journey.actions}
    for purpose in journey.consents:
        if purpose not in needed:
            yield f"consent {purpose}", "no action needs it"
    keeping = any(action.keeps for action in journey.actions)
    if keeping and not journey.arbitration.customer_value_eur:
        yield "arbitration", "actions keep customers, and customer_value_eur is 0: worth nothing"
    for sub_journey in journey.sub_journeys:
        if sub_journey.goal is None:
            yield f"sub-journey {sub_journey.id}", "has no goal: its success cannot be measured"
        for step, after in pairwise(sub_journey.steps):
            if step.outbound and after.outbound and not after.wait_hours and not step.next:
                text = f"{after.id} follows {step.id} without a wait: set wait_hours"
                yield f"sub-journey {sub_journey.id}", text


def concerns(part: Any) -> str:
    """The actions that a policy concerns, in words."""
    scope = [f"group {part.group}"] if part.group else []
    scope += [f"channel {part.channel}"] if part.channel else []
    scope += [", ".join(part.actions)] if part.actions else []
    return "; ".join(scope) or "all actions"


def one_line(rule: str) -> str:
    """The text of a rule on one line."""
    return " ".join(rule.split())
