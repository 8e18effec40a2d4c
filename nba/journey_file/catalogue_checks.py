"""What the catalogue's parts say of each other: references, dates, rules of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import Any

from nba.errors import InvalidInput, did_you_mean
from nba.governance.candidate_set import concerns
from nba.governance.quiet_hours import zone
from nba.governance.rule_inputs import rule_names, segment_rules
from nba.journey.actions import Action
from nba.journey.file import JourneyFile
from nba.journey.policies import CONTACT_STATUSES
from nba.journey.sub_journeys import EXIT, SubJourney
from nba.rules.conditions import BooleanOperation, Condition
from nba.rules.rule import Names, parse_rule
from nba.rules.satisfiability import is_contradiction

_INLINE = ("eligible", "applicable", "suitable")


def check_catalogue(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of the governing parts, with its path."""
    yield from _scope_errors(journey)
    yield from _date_errors(journey)
    yield from _sign_errors(journey)
    yield from _zone_errors(journey)
    yield from _action_errors(journey)
    for index, one in enumerate(journey.sub_journeys):
        yield from _sub_journey_errors(journey, one, f"sub_journeys[{index}]")
    yield from _rule_errors(journey)


def governing_parts(journey: JourneyFile) -> Iterator[tuple[str, Any]]:
    """(path, part) of everything that has an id and a scope."""
    policy = journey.contact_policy
    lists: Mapping[str, Iterable[Any]] = {
        "engagement": journey.engagement,
        "contact_policy.caps": policy.caps,
        "contact_policy.cool_downs": policy.cool_downs,
        "contact_policy.pauses": policy.pauses,
        "contact_policy.quiet_hours": policy.quiet_hours,
        "contact_policy.capacities": policy.capacities,
        "weights": journey.weights,
        "levers": journey.levers,
    }
    for name, parts in lists.items():
        for index, part in enumerate(parts):
            yield f"{name}[{index}]", part


def _scope_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    actions = {action.id: action for action in journey.actions}
    groups = {action.group for action in journey.actions if action.group}
    first: dict[str, str] = {}
    for path, part in governing_parts(journey):
        if part.id in first:
            remedy = f"already the id of {first[part.id]}; reports name rules by it, choose another"
            yield InvalidInput(f"{path}.id", part.id, remedy)
        first.setdefault(part.id, path)
        known: tuple[tuple[str, str | None, Iterable[str]], ...] = (
            (f"{path}.group", part.group, groups),
            (f"{path}.channel", part.channel, journey.channels()),
            *((f"{path}.actions[{n}]", one, actions) for n, one in enumerate(part.actions)),
        )
        wrong = [_unknown(at, name, of) for at, name, of in known if name and name not in of]
        yield from wrong
        if journey.actions and not (
            wrong or any(concerns(part, action) for action in journey.actions)
        ):
            remedy = "no action is of this group, channel and list together; widen it or remove it"
            yield InvalidInput(path, part.id, remedy)


def _date_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    dated: list[tuple[str, Any]] = [(f"actions[{n}]", a) for n, a in enumerate(journey.actions)]
    dated += [(path, part) for path, part in governing_parts(journey) if hasattr(part, "ends")]
    for path, part in dated:
        days = {}
        for name in ("begins", "ends"):
            text = getattr(part, name)
            try:
                days[name] = None if text is None else date.fromisoformat(text)
            except ValueError:
                yield InvalidInput(f"{path}.{name}", text, "no such day in the calendar")
        begins, ends = days.get("begins"), days.get("ends")
        if begins is not None and ends is not None and ends < begins:
            yield InvalidInput(f"{path}.ends", part.ends, f"it begins later, on {part.begins}")


def _sign_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    known = [*CONTACT_STATUSES, *(mapping.id for mapping in journey.events)]
    policy = journey.contact_policy
    for n, cap in enumerate(policy.caps):
        if cap.on not in known:
            yield _unknown(f"contact_policy.caps[{n}].on", cap.on, known)
    for n, one in enumerate(policy.cool_downs):
        if one.after not in known:
            yield _unknown(f"contact_policy.cool_downs[{n}].after", one.after, known)
    for n, quiet in enumerate(policy.quiet_hours):
        if quiet.from_ == quiet.until:
            path = f"contact_policy.quiet_hours[{n}].until"
            yield InvalidInput(path, quiet.until, "it ends when it begins; write two times")


def _zone_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    rule = journey.time_zone
    named = [("time_zone.fallback", rule.fallback)]
    if rule.trait is not None:
        trait = journey.traits.get(rule.trait)
        if trait is None:
            yield _unknown("time_zone.trait", rule.trait, journey.traits)
        elif trait.type != "category":
            yield InvalidInput("time_zone.trait", rule.trait, "make it a category of time zones")
        else:
            values = enumerate(trait.values or [])
            named += [(f"traits.{rule.trait}.values[{n}]", value) for n, value in values]
    for path, name in named:
        try:
            zone(name)
        except ValueError:
            remedy = "give a time zone of the IANA list, such as Europe/Berlin"
            yield InvalidInput(path, name, remedy)


def _action_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    called = {step.action for one in journey.sub_journeys for step in one.steps}
    for n, action in enumerate(journey.actions):
        path = f"actions[{n}]"
        if action.purpose is not None and action.purpose not in journey.consents:
            yield _unknown(f"{path}.purpose", action.purpose, journey.consents)
        if action.only_in_sub_journey and action.id not in called:
            remedy = "no step of a sub-journey calls for it, so that it is never offered"
            yield InvalidInput(f"{path}.only_in_sub_journey", True, remedy)
        yield from _treatment_errors(path, action)


def _treatment_errors(path: str, action: Action) -> Iterator[InvalidInput]:
    if action.treatment is not None and action.treatments:
        remedy = "give either treatment or treatments"
        yield InvalidInput(f"{path}.treatment", action.treatment, remedy)
    ids = [treatment.id for treatment in action.treatments]
    for n, one in enumerate(ids):
        if one in ids[:n]:
            yield InvalidInput(f"{path}.treatments[{n}].id", one, "given twice; choose another")


def _sub_journey_errors(journey: JourneyFile, one: SubJourney, path: str) -> Iterator[InvalidInput]:
    others = [other.id for other in journey.sub_journeys]
    actions = [action.id for action in journey.actions]
    kinds = [mapping.id for mapping in journey.events]
    if others.count(one.id) > 1 and others.index(one.id) < int(path[13:-1]):
        yield InvalidInput(f"{path}.id", one.id, "already the id of another; choose another")
    if one.goal is not None and one.goal not in kinds:
        yield _unknown(f"{path}.goal", one.goal, kinds)
    if one.purpose is not None and one.purpose not in journey.consents:
        yield _unknown(f"{path}.purpose", one.purpose, journey.consents)
    for n, rival in enumerate(one.conflicts):
        if rival not in others or rival == one.id:
            known = [other for other in others if other != one.id]
            yield _unknown(f"{path}.conflicts[{n}]", rival, known)
    steps = [step.id for step in one.steps]
    for n, step in enumerate(one.steps):
        at = f"{path}.steps[{n}]"
        if step.id in steps[:n] or step.id == EXIT:
            yield InvalidInput(f"{at}.id", step.id, "taken or reserved; choose another")
        if step.action is not None and step.action not in actions:
            yield _unknown(f"{at}.action", step.action, actions)
        if step.done not in (*CONTACT_STATUSES, *kinds):
            yield _unknown(f"{at}.done", step.done, [*CONTACT_STATUSES, *kinds])
        if step.outbound and step.action is None:
            yield InvalidInput(f"{at}.outbound", True, "name the action with which we address her")
        for k, branch in enumerate(step.next):
            if branch.to not in (*steps, EXIT):
                yield _unknown(f"{at}.next[{k}].to", branch.to, [*steps, EXIT])
            elif branch.to in steps[: n + 1]:
                remedy = "a branch leads to a later step or to the exit, so that every passage ends"
                yield InvalidInput(f"{at}.next[{k}].to", branch.to, remedy)
        for k, (branch, _) in enumerate(pairwise(step.next)):
            if branch.when is None:
                remedy = "never reached: the branch before it has no condition; move it to the end"
                yield InvalidInput(f"{at}.next[{k + 1}]", step.next[k + 1].to, remedy)
    for n in sorted(set(range(len(steps))) - _reached(one)):
        remedy = "no step leads here; give one a branch to it, or remove it"
        yield InvalidInput(f"{path}.steps[{n}].id", steps[n], remedy)


def _reached(one: SubJourney) -> set[int]:
    """The positions of the steps to which some way leads; ways lead forward only."""
    places = {step.id: n for n, step in enumerate(one.steps)}
    found = {0}
    for n, step in enumerate(one.steps):
        if n in found:
            found |= {places[branch.to] for branch in step.next if branch.to in places}
            if all(branch.when is not None for branch in step.next):
                found.add(n + 1)
    return found


def _rule_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    names = rule_names(journey)
    try:
        segment_rules(journey, names)
    except InvalidInput as error:
        yield error
    wrong = [e for path, text in rule_texts(journey) for e in rule_error(path, text, names)]
    yield from wrong or _exclusions(journey, names)


def _exclusions(journey: JourneyFile, names: Names) -> Iterator[InvalidInput]:
    """Actions that can never be offered, because rules that concern them exclude each other."""
    lasting = [
        (f"engagement[{n}].when", rule)
        for n, rule in enumerate(journey.engagement)
        if not (rule.begins or rule.ends or rule.lifted_share)
    ]
    for n, action in enumerate(journey.actions):
        rules = [(path, rule.when) for path, rule in lasting if concerns(rule, action)]
        rules += [
            (f"actions[{n}].{name}", text)
            for name in _INLINE
            if (text := getattr(action, name)) is not None
        ]
        parts: list[Condition] = []
        for path, text in rules:
            found = parse_rule(text, names).condition
            parts += found.parts if isinstance(found, BooleanOperation) and found.every else [found]
            if is_contradiction(parts):
                remedy = f"the rules of action {action.id} exclude each other: never offered"
                yield InvalidInput(path, text, remedy)
                break


def rule_texts(journey: JourneyFile) -> Iterator[tuple[str, str]]:
    """(path, rule) of every condition over a customer's facts, segments aside."""
    found: list[tuple[str, str | None]] = []
    for n, action in enumerate(journey.actions):
        found += [(f"actions[{n}].{name}", getattr(action, name)) for name in _INLINE]
        for k, treatment in enumerate(action.treatments):
            at = f"actions[{n}].treatments[{k}]"
            found += [(f"{at}.{name}", getattr(treatment, name)) for name in _INLINE]
    found += [(f"engagement[{n}].when", one.when) for n, one in enumerate(journey.engagement)]
    found += [(f"weights[{n}].when", one.when) for n, one in enumerate(journey.weights)]
    for n, given in enumerate(journey.sub_journeys):
        path = f"sub_journeys[{n}]"
        found += [(f"{path}.enter", given.enter), (f"{path}.leave", given.leave)]
        for k, step in enumerate(given.steps):
            found.append((f"{path}.steps[{k}].when", step.when))
            for b, branch in enumerate(step.next):
                found.append((f"{path}.steps[{k}].next[{b}].when", branch.when))
    for path, text in found:
        if text is not None:
            yield path, text


def rule_error(path: str, text: str, names: Names) -> Iterator[InvalidInput]:
    """What is wrong with a rule, under its path in the file."""
    try:
        parse_rule(text, names)
    except InvalidInput as error:
        error.field = path
        error.args = (f"{path}: {error.value}: {error.remedy}",)
        yield error


def _unknown(path: str, name: str, known: Iterable[str]) -> InvalidInput:
    return InvalidInput(path, name, "unknown id, " + did_you_mean(name, known))
