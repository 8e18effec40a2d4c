"""Check a journey file as a whole: ids, references and rules that must agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from keyword import iskeyword

from nba.errors import InvalidInput
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.journey.map import Touchpoint
from nba.journey.mapping import EventMapping
from nba.journey.policies import CONTACT_STATUSES
from nba.journey_file.action_checks import action_errors
from nba.journey_file.emotion_checks import emotion_errors
from nba.journey_file.policy_checks import policy_errors
from nba.journey_file.reference_checks import (
    duplicate_id_errors,
    id_list_errors,
    unknown_id_errors,
)
from nba.journey_file.reward_checks import reward_errors
from nba.journey_file.rule_checks import rule_errors, unreadable
from nba.journey_file.sub_journey_checks import sub_journey_errors
from nba.rules.rule import PROPERTIES

NAMESPACES = {
    *CONTACT_STATUSES,
    "action",
    "asked",
    "churn",
    "contact",
    "customer",
    "emotion",
    "journey",
    "offered",
    "properties",
    "request",
    "segment",
    "stage",
    "sub_journey",
    "traits",
    "unmapped",
}


def check_journey(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of a journey file whose shape is right, each with its path."""
    yield from _map_errors(journey)
    yield from _event_errors(journey)
    yield from emotion_errors(journey)
    yield from _trait_errors(journey)
    yield from action_errors(journey)
    yield from _churn_errors(journey)
    yield from reward_errors(journey)
    yield from policy_errors(journey)
    yield from sub_journey_errors(journey)
    yield from rule_errors(journey)
    yield from _fallback_errors(journey)
    yield from _exploration_errors(journey)


def _map_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    paths: dict[str, list[tuple[str, str]]] = {"scenes": [], "journeys": [], "stages": []}
    seen: dict[str, tuple[str, Touchpoint]] = {}
    for s, scene in enumerate(journey.scenes):
        paths["scenes"].append((scene.id, f"scenes[{s}]"))
        for j, scene_journey in enumerate(scene.journeys):
            paths["journeys"].append((scene_journey.id, f"scenes[{s}].journeys[{j}]"))
            for g, stage in enumerate(scene_journey.stages):
                at = f"scenes[{s}].journeys[{j}].stages[{g}]"
                paths["stages"].append((stage.id, at))
                in_stage: list[tuple[str, str]] = []
                for t, touchpoint in enumerate(stage.touchpoints):
                    path = f"{at}.touchpoints[{t}]"
                    in_stage.append((touchpoint.id, path))
                    first_path, first = seen.setdefault(touchpoint.id, (path, touchpoint))
                    if first != touchpoint:
                        remedy = f"differs from {first_path}; a touchpoint recurs unchanged"
                        yield InvalidInput(f"{path}.id", touchpoint.id, remedy)
                yield from duplicate_id_errors(in_stage)
    for ids in paths.values():
        yield from duplicate_id_errors(ids)
    if not any(stage.leaving for _, _, stage in journey.stages()):
        remedy = "give leaving: true to the stage in which the relationship ends"
        yield InvalidInput("scenes", [stage.id for _, _, stage in journey.stages()], remedy)


def _event_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    touchpoints = [touchpoint.id for touchpoint in journey.touchpoints()]
    yield from duplicate_id_errors((m.id, f"events[{i}]") for i, m in enumerate(journey.events))
    unconditional: dict[str, str] = {}  # event name -> path of its mapping without `when`
    rules: set[tuple[str, str]] = set()
    for i, mapping in enumerate(journey.events):
        path = f"events[{i}]"
        if mapping.when is not None:
            yield from unreadable(f"{path}.when", mapping.when, PROPERTIES)
        yield from _name_errors(f"{path}.id", mapping.id, NAMESPACES)
        yield from unknown_id_errors(f"{path}.touchpoint", mapping.touchpoint, touchpoints)
        yield from _range_errors(f"{path}.amount_range", mapping)
        if mapping.event in unconditional:
            earlier = unconditional[mapping.event]
            remedy = f"never reached: {earlier} takes every such event; move it up"
            yield InvalidInput(f"{path}.event", mapping.event, remedy)
        elif mapping.when is None:
            unconditional[mapping.event] = path
        elif (mapping.event, mapping.when) in rules:
            remedy = "never reached: an earlier mapping has the same event and rule; remove one"
            yield InvalidInput(f"{path}.when", mapping.when, remedy)
        else:
            rules.add((mapping.event, mapping.when))


def _range_errors(path: str, mapping: EventMapping) -> Iterator[InvalidInput]:
    bounds = mapping.amount_range
    if not bounds:
        return
    if mapping.amount is None:
        remedy = "this event has no amount to bound; give its mapping one, or remove it"
        yield InvalidInput(path, [bounds.low, bounds.high], remedy)
    if bounds.low >= bounds.high:
        remedy = f"it is not below high, which is {bounds.high:g}"
        yield InvalidInput(f"{path}.low", bounds.low, remedy)


def _name_errors(path: str, name: str, reserved: Iterable[str]) -> Iterator[InvalidInput]:
    if name in reserved or iskeyword(name):
        yield InvalidInput(path, name, "reserved, rules could not name it; choose another")


def _trait_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    for section, declared in (("traits", journey.traits), ("request", journey.request)):
        for name, trait in declared.items():
            path = f"{section}.{name}"
            yield from _name_errors(path, name, ())
            values = trait.values or []
            if trait.type == "category" and not values:
                remedy = "list the values of the category, in a fixed order"
                yield InvalidInput(f"{path}.values", trait.values, remedy)
            if trait.type != "category" and trait.values is not None:
                remedy = f"a {trait.type} has no values; remove them or write type: category"
                yield InvalidInput(f"{path}.values", trait.values, remedy)
            for i, value in enumerate(values):
                if not value.strip() or value in values[:i]:
                    remedy = "give each value once, and none empty"
                    yield InvalidInput(f"{path}.values[{i}]", value, remedy)
            if section == "request" and name in journey.traits:
                yield InvalidInput(path, name, "already the name of a trait; choose another")


def _churn_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    kinds, churn = [mapping.id for mapping in journey.events], journey.churn
    yield from unknown_id_errors("churn.event", churn.event, kinds)
    yield from id_list_errors("churn.inactive", churn.inactive, kinds)
    if (churn.event is None) == (not churn.inactive):
        remedy = "give either event or inactive: how is it known that a customer has left?"
        yield InvalidInput("churn", churn.event, remedy)


def _fallback_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    yield from id_list_errors("fallback", journey.fallback, [a.id for a in journey.actions])


def _exploration_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    exploration = journey.exploration
    known = [*(action.id for action in journey.actions), NO_ACTION]
    yield from id_list_errors("exploration.order", exploration.order, known)
    if exploration.policy == "fixed" and not exploration.order:
        remedy = "fixed draws the first of an order: list action ids in `order`"
        yield InvalidInput("exploration.policy", exploration.policy, remedy)
    share = exploration.holdout_share + exploration.random_share
    if share > 1.0:
        remedy = f"with holdout_share it takes {share:g} of the customers: at most 1"
        yield InvalidInput("exploration.random_share", exploration.random_share, remedy)
