"""Check the reward rules: events that exist and have amounts, defaults within bounds."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from nba.errors import InvalidInput
from nba.journey.actions import ActionReward
from nba.journey.file import JourneyFile
from nba.journey.goals import RewardRule
from nba.journey_file.reference_checks import id_list_errors
from nba.rewards.terms import bounds_of


def reward_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of the file's reward rule and of its actions', with its path."""
    reward = journey.reward
    yield from _kind_errors(journey, "reward", reward, amounts=True)
    if reward.target == "value" and not reward.events:
        remedy = "target: value needs the kinds of event whose amounts are summed"
        yield InvalidInput("reward.events", reward.events, remedy)
    yield from _value_errors(journey)
    yield from _default_errors(journey, "reward.default", reward.default)
    for n, action in enumerate(journey.actions):
        if action.reward is not None:
            yield from _action_errors(journey, f"actions[{n}].reward", action.reward)


def _value_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    """What only a value in EUR can have."""
    reward, bounds = journey.reward, journey.reward.bounds
    if reward.target == "response":
        for name in ("bounds", "staying", "feeling_eur"):
            if getattr(reward, name):
                remedy = "a response lies between 0 and 1; remove it or write target: value"
                yield InvalidInput(f"reward.{name}", getattr(reward, name), remedy)
        return
    if reward.outcomes is not UNSET:
        remedy = "for target: value nothing is worth its outcome; remove it, or list kinds in minus"
        yield InvalidInput("reward.outcomes", reward.outcomes, remedy)
    if bounds is not None and bounds.low >= bounds.high:
        remedy = f"it is not below high, which is {bounds.high:g}"
        yield InvalidInput("reward.bounds.low", bounds.low, remedy)
    if reward.staying and journey.arbitration.customer_value_eur == 0.0:
        remedy = "say in arbitration.customer_value_eur what a customer who stays is worth"
        yield InvalidInput("reward.staying", True, remedy)


def _action_errors(journey: JourneyFile, path: str, action: ActionReward) -> Iterator[InvalidInput]:
    worth, response = action.worth, journey.reward.target == "response"
    amounts = worth is None and not response
    yield from _kind_errors(journey, path, action, amounts=amounts)
    if worth is not None and not (action.events or action.minus):
        yield InvalidInput(f"{path}.worth", worth, "list the events that are worth it")
    if worth is not None and response and not 0.0 < worth <= 1.0:
        remedy = "a response lies between 0 and 1; write a share of it, or target: value"
        yield InvalidInput(f"{path}.worth", worth, remedy)
    if action.window_days is not None and action.window_hours is not None:
        remedy = "give either window_days or window_hours"
        yield InvalidInput(f"{path}.window_hours", action.window_hours, remedy)
    if action.default is not None:
        yield from _default_errors(journey, f"{path}.default", action.default)


def _kind_errors(
    journey: JourneyFile, path: str, reward: RewardRule | ActionReward, *, amounts: bool
) -> Iterator[InvalidInput]:
    amount_of = {mapping.id: mapping.amount for mapping in journey.events}
    for name, kinds in (("events", reward.events), ("minus", reward.minus)):
        yield from id_list_errors(f"{path}.{name}", kinds, amount_of)
        for i, kind in enumerate(kinds):
            if amounts and kind in amount_of and amount_of[kind] is None:
                remedy = "this event has no amount to sum; give its mapping one"
                if path != "reward":
                    remedy = "this event has no amount; give its mapping one, or say its worth"
                yield InvalidInput(f"{path}.{name}[{i}]", kind, remedy)
    for i, kind in enumerate(reward.minus):
        if kind in reward.events:
            yield InvalidInput(f"{path}.minus[{i}]", kind, "listed under events too; keep one")


def _default_errors(journey: JourneyFile, path: str, default: float) -> Iterator[InvalidInput]:
    low, high = bounds_of(journey.reward)
    if not low <= default <= high:
        yield InvalidInput(path, default, f"rewards lie between {low:g} and {high:g}")
