"""What governs, as tables for its owner: rules, limits, consents, weights, sub-journeys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
        yield rule.id, rule.layer, concerns(rule), words(rule.when), lifted
    for action in journey.actions:
        for owner, name in (
            (action, action.id),
            *((t, f"{action.id}.{t.id}") for t in action.treatments),
        ):
            for field, layer in (
                ("eligible", "eligibility"),
                ("applicable", "applicability"),
                ("suitable", "suitability"),
            ):
                text = getattr(owner, field)
                if text is not None:
                    yield f"{name}.{field}", layer, name, words(text), "-"


def limit_rows(journey: JourneyFile) -> Iterator[Row]:
    """Caps, cool-downs, pauses, quiet hours, capacities, consents."""
    policy = journey.contact_policy
    for cap in policy.caps:
        what = f"at most {cap.times} {cap.on} within {cap.days:g} days per {cap.per}"
        yield cap.id, concerns(cap), what
    for one in policy.cool_downs:
        what = f"nothing for {one.hours:g} hours after one was {one.after}, per {one.per}"
        yield one.id, concerns(one), what
    for pause in policy.pauses:
        yield (
            pause.id,
            concerns(pause),
            f"{pause.after} {pause.times} times in {pause.days:g} days pauses it for "
            f"{pause.pause_days:g} days, per {pause.per}",
        )
    for quiet in policy.quiet_hours:
        days = ", ".join(quiet.days) or "every day"
        then = "dropped" if quiet.blocked == "drop" else "kept until they are over"
        yield quiet.id, concerns(quiet), f"{quiet.from_} to {quiet.until}, {days}; {then}"
    for capacity in policy.capacities:
        unit = "contacts" if capacity.unit == "contacts" else "EUR of cost"
        yield capacity.id, concerns(capacity), f"{capacity.most:g} {unit} a {capacity.every}"
    for purpose, consent in journey.consents.items():
        asked = [action.id for action in journey.actions if action.purpose == purpose]
        what = f"{consent.default} by those who have said nothing"
        yield f"consent {purpose}", ", ".join(asked) or "no action", what


def weight_rows(journey: JourneyFile) -> Iterator[Row]:
    """Context weights and levers."""
    for weight in journey.weights:
        yield weight.id, concerns(weight), f"{weight.factor:g}", words(weight.when)
    for lever in journey.levers:
        span = f"until {lever.ends}" if lever.begins is None else f"{lever.begins} to {lever.ends}"
        yield lever.id, concerns(lever), f"{lever.factor:g}", span


def sub_journey_rows(journey: JourneyFile) -> Iterator[Row]:
    """Every sub-journey: who enters, its steps, how it ends."""
    for one in journey.sub_journeys:
        ends = [f"goal {one.goal}"] if one.goal else []
        ends += [f"left: {words(one.leave)}"] if one.leave else []
        ends += [f"over after {one.time_out_days:g} days"]
        yield one.id, "enter", "-", words(one.enter), "; ".join(ends)
        for step in one.steps:
            then = [f"to {b.to}" + (f" if {words(b.when)}" if b.when else "") for b in step.next]
            waits = f"after {step.wait_hours:g} h" if step.wait_hours else "at once"
            when = f"{waits}, if {words(step.when)}" if step.when else waits
            yield one.id, step.id, step.action or "-", when, "; ".join(then) or "the next step"


def warnings(journey: JourneyFile) -> Iterator[tuple[str, str]]:
    """What the governing parts leave open."""
    policy = journey.contact_policy
    if journey.actions and not (policy.caps or policy.cool_downs):
        yield "contact_policy", "no cap and no cool-down: contacts are not limited"
    asked = {action.purpose for action in journey.actions}
    for purpose in journey.consents:
        if purpose not in asked:
            yield f"consent {purpose}", "no action needs it"
    if any(action.keeps for action in journey.actions) and not (
        journey.arbitration.customer_value_eur
    ):
        yield "arbitration", "actions keep customers, and customer_value_eur is 0: worth nothing"
    for one in journey.sub_journeys:
        if one.goal is None:
            yield f"sub-journey {one.id}", "has no goal: its success cannot be measured"


def concerns(part: Any) -> str:
    """What a part of the catalogue concerns, in words."""
    said = [f"group {part.group}"] if part.group else []
    said += [f"channel {part.channel}"] if part.channel else []
    said += [", ".join(part.actions)] if part.actions else []
    return "; ".join(said) or "all actions"


def words(text: str | None) -> str:
    """A rule on one line."""
    return " ".join((text or "").split())
