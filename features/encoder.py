"""Events become kernel rows, by the journey file's mapping."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from features.kernel import CONTACT, EVENT, ROW, TRAIT
from nba.context import UNMAPPED, ContextSchema
from nba.decision import NO_ACTION
from nba.events import ACTION_DECIDED, IDENTIFY, Event, micros
from nba.journey import EventMapping, JourneyFile, Trait
from nba.rule_facts import as_number
from nba.rules import PROPERTIES, PropertyFacts, Rule, parse_rule

Row = tuple[float, int, int, int, int, float, float]  # one record of dtype ROW


class _Target(NamedTuple):
    rule: Rule | None
    kind: int
    touchpoint: int
    valence: float
    amount: str | None


class Encoder:
    """One event becomes no, one or several kernel rows; the journey file says which."""

    def __init__(self, schema: ContextSchema) -> None:
        journey = schema.journey
        self._touchpoints = {t.id: code for code, t in enumerate(journey.touchpoints())}
        self._kinds = {kind: code for code, kind in enumerate(schema.kinds)}
        self._names = schema.kinds
        self._actions = {action.id: code for code, action in enumerate(journey.actions)}
        self._channels = {channel: code for code, channel in enumerate(journey.channels())}
        self._action_channel = {action.id: action.channel for action in journey.actions}
        self._traits = {name: (code, t) for code, (name, t) in enumerate(journey.traits.items())}
        self._unmapped = self._kinds[UNMAPPED]
        self._targets: dict[str, list[_Target]] = {}
        for mapping in journey.events:
            self._targets.setdefault(mapping.event, []).append(self._target(mapping))

    def _target(self, mapping: EventMapping) -> _Target:
        touchpoint = self._touchpoints[mapping.touchpoint] if mapping.touchpoint else -1
        rule = parse_rule(mapping.when, PROPERTIES) if mapping.when else None
        kind = self._kinds[mapping.id]
        return _Target(rule, kind, touchpoint, mapping.valence, mapping.amount)

    def kind(self, event: Event) -> str | None:
        """The mapped kind of an event, None for an unmapped one."""
        target = self._match(event.name, event.properties)
        return None if target is None else self._names[target.kind]

    def rows(self, event: Event) -> list[Row]:
        """The rows of one event, in the order in which they are folded."""
        time = micros(event.occurred_at) / 1e6
        properties = event.properties
        rows: list[Row] = []
        if event.name == IDENTIFY:
            rows += self._trait_rows(time, properties)
        elif event.name == ACTION_DECIDED:
            rows += self._contact_rows(time, properties)
        target = self._match(event.name, properties)
        if target is not None:
            amount = _number(properties.get(target.amount)) if target.amount else 0.0
            rows.append((time, EVENT, target.kind, target.touchpoint, 0, amount, target.valence))
        elif event.name not in (IDENTIFY, ACTION_DECIDED):
            rows.append((time, EVENT, self._unmapped, -1, 0, 0.0, 0.0))
        return rows

    def array(self, events: Iterable[Event]) -> np.ndarray:
        """The rows of events, in the given order, as one (n_rows,) array of dtype ROW."""
        return np.array([row for event in events for row in self.rows(event)], dtype=ROW)

    def _match(self, name: str, properties: Mapping[str, Any]) -> _Target | None:
        targets = self._targets.get(name)
        if targets is None:
            return None
        facts = PropertyFacts(properties)
        for target in targets:
            if target.rule is None or target.rule.holds(facts):
                return target
        return None

    def _trait_rows(self, time: float, properties: Mapping[str, Any]) -> list[Row]:
        rows: list[Row] = []
        for name, value in properties.items():
            known = self._traits.get(name)
            if known is not None:
                rows.append((time, TRAIT, known[0], -1, 0, _code(known[1], value), 0.0))
        return rows

    def _contact_rows(self, time: float, properties: Mapping[str, Any]) -> list[Row]:
        action = properties.get("action_id")
        if not isinstance(action, str) or action == NO_ACTION:
            return []
        channel = properties.get("channel")
        if not isinstance(channel, str):
            channel = self._action_channel.get(action, "")
        kind = self._kinds.get(f"contact.{channel}", -1)
        code = self._actions.get(action, -1)
        return [(time, CONTACT, code, kind, self._channels.get(channel, -1), 0.0, 0.0)]


def stage_codes(journey: JourneyFile) -> np.ndarray:
    """(n_touchpoints,) the stage of each touchpoint: the first in the file that holds it."""
    first: dict[str, int] = {}
    for code, (_, _, stage) in enumerate(journey.stages()):
        for touchpoint in stage.touchpoints:
            first.setdefault(touchpoint.id, code)
    return np.array([first[t.id] for t in journey.touchpoints()], dtype=np.int64)


def _code(trait: Trait, value: Any) -> float:
    """A trait's value as the number that the state keeps; NaN for one of another type."""
    if trait.type == "number":
        return _number(value, missing=np.nan)
    if trait.type == "boolean":
        return float(value) if isinstance(value, bool) else np.nan
    values = trait.values or []
    return float(values.index(value)) if value in values else np.nan


def _number(value: Any, missing: float = 0.0) -> float:
    number = as_number(value)
    return missing if math.isnan(number) else number
