"""Check the rules: those that cannot be read, and those that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator

from nba.errors import InvalidInput
from nba.governance.candidate_set import concerns
from nba.governance.rule_inputs import rule_names, segment_rules
from nba.journey.actions import INLINE_RULES, Action, Treatment
from nba.journey.file import JourneyFile
from nba.rules.conditions import BooleanOperation, Condition
from nba.rules.rule import Names, parse_rule
from nba.rules.satisfiability import is_contradiction


def rule_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of the segments and of the rules over a customer's facts, with its path."""
    names = rule_names(journey)
    try:
        segment_rules(journey, names)
    except InvalidInput as error:
        yield error
    errors = [e for path, text in _rule_texts(journey) for e in unreadable(path, text, names)]
    yield from errors or _exclusion_errors(journey, names)


def unreadable(path: str, text: str, names: Names) -> Iterator[InvalidInput]:
    """What is wrong with a rule over `names`, under its path in the file."""
    try:
        parse_rule(text, names)
    except InvalidInput as error:
        error.field = path
        yield error


def _rule_texts(journey: JourneyFile) -> Iterator[tuple[str, str]]:
    """(path, rule) of every condition over a customer's facts, segments aside."""
    for n, action in enumerate(journey.actions):
        yield from _inline(f"actions[{n}]", action)
        for k, treatment in enumerate(action.treatments):
            yield from _inline(f"actions[{n}].treatments[{k}]", treatment)
    for n, rule in enumerate(journey.engagement):
        yield f"engagement[{n}].when", rule.when
    for n, weight in enumerate(journey.weights):
        yield f"weights[{n}].when", weight.when
    for n, sub_journey in enumerate(journey.sub_journeys):
        path = f"sub_journeys[{n}]"
        yield f"{path}.enter", sub_journey.enter
        if sub_journey.leave is not None:
            yield f"{path}.leave", sub_journey.leave
        for k, step in enumerate(sub_journey.steps):
            if step.when is not None:
                yield f"{path}.steps[{k}].when", step.when
            for b, branch in enumerate(step.next):
                if branch.when is not None:
                    yield f"{path}.steps[{k}].next[{b}].when", branch.when


def _inline(path: str, part: Action | Treatment) -> Iterator[tuple[str, str]]:
    """(path, rule) of the rules that an action or a treatment declares itself."""
    for name in INLINE_RULES:
        text = getattr(part, name)
        if text is not None:
            yield f"{path}.{name}", text


def _exclusion_errors(journey: JourneyFile, names: Names) -> Iterator[InvalidInput]:
    """Actions that can never be offered, because rules that concern them exclude each other."""
    lasting = [
        (f"engagement[{n}].when", rule)
        for n, rule in enumerate(journey.engagement)
        if not (rule.begins or rule.ends or rule.lifted_share)
    ]
    for n, action in enumerate(journey.actions):
        rules = [(path, rule.when) for path, rule in lasting if concerns(rule, action)]
        conditions: list[Condition] = []
        for path, text in [*rules, *_inline(f"actions[{n}]", action)]:
            condition = parse_rule(text, names).condition
            if isinstance(condition, BooleanOperation) and condition.every:
                conditions += condition.parts
            else:
                conditions.append(condition)
            if is_contradiction(conditions):
                remedy = f"the rules of action {action.id} exclude each other: never offered"
                yield InvalidInput(path, text, remedy)
                break
