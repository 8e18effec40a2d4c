"""What one field of the journey file cannot know: ids, references and rules that must agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from keyword import iskeyword

from nba.errors import InvalidInput
from nba.journey.actions import NO_ACTION, Action
from nba.journey.file import JourneyFile
from nba.journey.map import Touchpoint
from nba.journey.policies import CONTACT_STATUSES
from nba.journey_file.catalogue_checks import check_catalogue, rule_error
from nba.journey_file.emotion_checks import check_emotion
from nba.journey_file.exploration_checks import exploration_errors
from nba.journey_file.reference_checks import all_known, unknown
from nba.journey_file.reward_checks import check_rewards
from nba.rules.rule import PROPERTIES

NAMESPACES = (
    *("action", "churn", "contact", "customer", "emotion", "journey", "offered", "properties"),
    *(
        "request",
        "segment",
        "stage",
        "sub_journey",
        "traits",
        "unmapped",
        "asked",
        *CONTACT_STATUSES,
    ),
)


def check_journey(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of a journey file whose fields are right one by one, with its path."""
    yield from _map_errors(journey)
    yield from _event_errors(journey)
    yield from check_emotion(journey)
    yield from _trait_errors(journey)
    yield from _action_errors(journey)
    yield from _reference_errors(journey)
    yield from _churn_errors(journey)
    yield from check_rewards(journey)
    yield from check_catalogue(journey)


def _map_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    paths: dict[str, list[tuple[str, str]]] = {"scenes": [], "journeys": [], "stages": []}
    seen: dict[str, tuple[str, Touchpoint]] = {}
    for s, scene in enumerate(journey.scenes):
        paths["scenes"].append((scene.id, f"scenes[{s}]"))
        for j, trip in enumerate(scene.journeys):
            paths["journeys"].append((trip.id, f"scenes[{s}].journeys[{j}]"))
            for g, stage in enumerate(trip.stages):
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
                yield from duplicates(in_stage)
    for ids in paths.values():
        yield from duplicates(ids)
    if not any(stage.leaving for _, _, stage in journey.stages()):
        remedy = "give leaving: true to the stage in which the relationship ends"
        yield InvalidInput("scenes", [s.id for _, _, s in journey.stages()], remedy)


def duplicates(ids: Iterable[tuple[str, str]]) -> Iterator[InvalidInput]:
    first: dict[str, str] = {}
    for identifier, path in ids:
        if identifier in first:
            remedy = f"already the id of {first[identifier]}; choose another"
            yield InvalidInput(f"{path}.id", identifier, remedy)
        first.setdefault(identifier, path)


def _event_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    touchpoints = [touchpoint.id for touchpoint in journey.touchpoints()]
    yield from duplicates((m.id, f"events[{i}]") for i, m in enumerate(journey.events))
    for i, mapping in enumerate(journey.events):
        if mapping.when is not None:
            yield from rule_error(f"events[{i}].when", mapping.when, PROPERTIES)
    taken: dict[str, str] = {}  # event name -> the mapping without `when` that takes all of it
    rules: set[tuple[str, str]] = set()
    for i, mapping in enumerate(journey.events):
        path = f"events[{i}]"
        yield from _name_errors(f"{path}.id", mapping.id, NAMESPACES)
        yield from unknown(f"{path}.touchpoint", mapping.touchpoint, touchpoints)
        if mapping.event in taken:
            remedy = f"never reached: {taken[mapping.event]} takes every such event; move it up"
            yield InvalidInput(f"{path}.event", mapping.event, remedy)
        elif mapping.when is None:
            taken[mapping.event] = path
        elif (mapping.event, mapping.when) in rules:
            remedy = "never reached: an earlier mapping has the same event and rule; remove one"
            yield InvalidInput(f"{path}.when", mapping.when, remedy)
        else:
            rules.add((mapping.event, mapping.when))


def _name_errors(path: str, name: str, reserved: Iterable[str]) -> Iterator[InvalidInput]:
    if name in reserved or iskeyword(name):
        yield InvalidInput(path, name, "reserved, rules could not name it; choose another")


def _trait_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    for space, declared in (("traits", journey.traits), ("request", journey.request)):
        for name, trait in declared.items():
            path = f"{space}.{name}"
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
            if space == "request" and name in journey.traits:
                yield InvalidInput(path, name, "already the name of a trait; choose another")


def _action_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    channels = {touchpoint.id: touchpoint.channel for touchpoint in journey.touchpoints()}
    yield from duplicates((a.id, f"actions[{i}]") for i, a in enumerate(journey.actions))
    for i, action in enumerate(journey.actions):
        path = f"actions[{i}]"
        if action.id == NO_ACTION:
            remedy = "reserved for leaving the customer in peace; choose another"
            yield InvalidInput(f"{path}.id", action.id, remedy)
        yield from unknown(f"{path}.touchpoint", action.touchpoint, channels)
        channel = channels.get(action.touchpoint, action.channel)
        if action.channel != channel:
            remedy = f"touchpoint {action.touchpoint} is on channel {channel}; make them agree"
            yield InvalidInput(f"{path}.channel", action.channel, remedy)
        yield from all_known(f"{path}.also_at", action.also_at, channels)
        for n, place in enumerate(action.also_at):
            if channels.get(place, action.channel) != action.channel:
                remedy = f"it is on channel {channels[place]}, the action on {action.channel}"
                yield InvalidInput(f"{path}.also_at[{n}]", place, remedy)
        yield from _feature_error(path, action, journey.actions[0])


def _feature_error(path: str, action: Action, first: Action) -> Iterator[InvalidInput]:
    if set(action.features) != set(first.features):
        keys = ", ".join(sorted(first.features)) or "none"
        remedy = f"give every action the features of {first.id}: {keys}"
        yield InvalidInput(f"{path}.features", sorted(action.features), remedy)


def _reference_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    actions = [action.id for action in journey.actions]
    yield from all_known("fallback", journey.fallback, actions)
    yield from exploration_errors("exploration", journey.exploration, actions)


def _churn_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    kinds, churn = [mapping.id for mapping in journey.events], journey.churn
    yield from unknown("churn.event", churn.event, kinds)
    yield from all_known("churn.inactive", churn.inactive, kinds)
    if (churn.event is None) == (not churn.inactive):
        remedy = "give either event or inactive: how is it known that a customer has left?"
        yield InvalidInput("churn", churn.event, remedy)
