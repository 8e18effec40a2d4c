"""Check the actions: touchpoints, consents, features, treatments."""

from __future__ import annotations

from collections.abc import Iterator

from nba.errors import InvalidInput
from nba.journey.actions import NO_ACTION, Action
from nba.journey.file import JourneyFile
from nba.journey_file.reference_checks import (
    duplicate_id_errors,
    id_list_errors,
    unknown_id_errors,
)


def action_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of the actions but their rules and rewards, with its path."""
    called = {step.action for flow in journey.sub_journeys for step in flow.steps}
    yield from duplicate_id_errors((a.id, f"actions[{i}]") for i, a in enumerate(journey.actions))
    for i, action in enumerate(journey.actions):
        path = f"actions[{i}]"
        if action.id == NO_ACTION:
            remedy = "reserved for leaving the customer in peace; choose another"
            yield InvalidInput(f"{path}.id", action.id, remedy)
        yield from _touchpoint_errors(path, action, journey)
        yield from _feature_errors(path, action, journey.actions[0])
        yield from unknown_id_errors(f"{path}.purpose", action.purpose, journey.consents)
        if action.only_in_sub_journey and action.id not in called:
            remedy = "no step of a sub-journey calls for it, so that it is never offered"
            yield InvalidInput(f"{path}.only_in_sub_journey", True, remedy)
        yield from _treatment_errors(path, action)


def _touchpoint_errors(path: str, action: Action, journey: JourneyFile) -> Iterator[InvalidInput]:
    channels = {touchpoint.id: touchpoint.channel for touchpoint in journey.touchpoints()}
    yield from unknown_id_errors(f"{path}.touchpoint", action.touchpoint, channels)
    channel = channels.get(action.touchpoint, action.channel)
    if action.channel != channel:
        remedy = f"touchpoint {action.touchpoint} is on channel {channel}; make them agree"
        yield InvalidInput(f"{path}.channel", action.channel, remedy)
    yield from id_list_errors(f"{path}.also_at", action.also_at, channels)
    for n, touchpoint in enumerate(action.also_at):
        if channels.get(touchpoint, action.channel) != action.channel:
            remedy = f"it is on channel {channels[touchpoint]}, the action on {action.channel}"
            yield InvalidInput(f"{path}.also_at[{n}]", touchpoint, remedy)


def _feature_errors(path: str, action: Action, first: Action) -> Iterator[InvalidInput]:
    if set(action.features) != set(first.features):
        keys = ", ".join(sorted(first.features)) or "none"
        remedy = f"give every action the features of {first.id}: {keys}"
        yield InvalidInput(f"{path}.features", sorted(action.features), remedy)


def _treatment_errors(path: str, action: Action) -> Iterator[InvalidInput]:
    if action.treatment is not None and action.treatments:
        remedy = "give either treatment or treatments"
        yield InvalidInput(f"{path}.treatment", action.treatment, remedy)
    ids = [treatment.id for treatment in action.treatments]
    for n, name in enumerate(ids):
        if name in ids[:n]:
            yield InvalidInput(f"{path}.treatments[{n}].id", name, "given twice; choose another")
