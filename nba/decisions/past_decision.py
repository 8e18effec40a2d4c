"""Decisions of before us: what another system decided, as events of an imported history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nba.errors import InvalidInput
from nba.events.event import Event
from nba.events.names import ACTION_DECIDED
from nba.events.numbers import number_of


def is_past_decision(event: Event) -> bool:
    """Whether an event is a decision that is not ours: ours names the position that it saw."""
    return event.name == ACTION_DECIDED and "context_seq" not in event.properties


def has_propensity(event: Event) -> bool:
    """Whether the probability of a past decision is known: only then off-policy answers read it."""
    return number_of(event.properties.get("propensity")) is not None


def check_past_decision(properties: Mapping[str, Any]) -> None:
    """Raise InvalidInput where a past decision says what would be without effect.

    It names its action, and its id where outcomes name it; `propensity`, `candidates` and
    `channel` may be absent.
    """
    _check_text("action_id", properties, "name the action, or no_action for none")
    for name in ("decision_id", "channel"):
        if properties.get(name) is not None:
            _check_text(name, properties, "give a text, or leave it out")
    propensity = properties.get("propensity")
    if propensity is not None and not _is_probability(propensity):
        remedy = "give a probability above 0 and at most 1; leave it out where it is unknown"
        raise InvalidInput("properties.propensity", propensity, remedy)
    listed = properties.get("candidates")
    if listed is None:
        return
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        remedy = "list the ids of the actions that could have been drawn, or leave it out"
        raise InvalidInput("properties.candidates", listed, remedy)
    if properties["action_id"] not in listed:
        remedy = f"list the action taken, {properties['action_id']}, among them"
        raise InvalidInput("properties.candidates", listed, remedy)


def _check_text(name: str, properties: Mapping[str, Any], remedy: str) -> None:
    value = properties.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"properties.{name}", value, remedy)


def _is_probability(value: object) -> bool:
    number = number_of(value)
    return number is not None and 0.0 < number <= 1.0
