"""The inputs of rules: what they may name, for one customer by name and for many as columns.

Beside the context's columns: the request's facts, the owner's segments, the churn risk, and whether
the customer is in a sub-journey. Both readings come from the same values, so that a rule holds for
a customer exactly where its mask says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nba.customer.contact_history import ContactHistory, sub_journey_of
from nba.customer.context import STAGE, ContextSchema
from nba.errors import InvalidInput
from nba.journey.file import JourneyFile
from nba.journey.mapping import Trait
from nba.rules.rule import Boolean, Category, Names, NameType, Number, Rule, parse_rule

CHURN_RISK = "churn.risk"
FEW = 8  # so many customers are read by name, more as columns


def rule_names(journey: JourneyFile) -> Names:
    """What the rules of decisions may name, the segments without their own rules."""
    schema = ContextSchema(journey)
    names: dict[str, NameType] = {column: Number() for column in schema.columns}
    names[STAGE] = Category(tuple(schema.stages))
    for prefix, declared in (("traits", journey.traits), ("request", journey.request)):
        for name, trait in declared.items():
            names[f"{prefix}.{name}"] = _name_type(trait)
    names[CHURN_RISK] = Number()
    names |= {f"segment.{name}": Boolean() for name in journey.segments}
    names |= {f"sub_journey.{sub_journey.id}": Boolean() for sub_journey in journey.sub_journeys}
    return names


def segment_rules(journey: JourneyFile, names: Names) -> dict[str, Rule]:
    """By name `segment.<id>`; a segment may name those above it.

    Raises InvalidInput whose field is the segment's path.
    """
    known = {name: kind for name, kind in names.items() if not name.startswith("segment.")}
    rules = {}
    for name, text in journey.segments.items():
        try:
            rules[f"segment.{name}"] = parse_rule(text, known)
        except InvalidInput as error:
            error.field = f"segments.{name}"
            raise
        known[f"segment.{name}"] = Boolean()
    return rules


def _name_type(trait: Trait) -> NameType:
    if trait.type == "category":
        return Category(tuple(trait.values or ()))
    return Boolean() if trait.type == "boolean" else Number()


class RuleSubject(msgspec.Struct, frozen=True):
    """One customer and one request, as facts are read of them."""

    values: NDArray[np.float64]  # the context's row
    request: Mapping[str, Any]  # the request's facts
    contact_history: ContactHistory
    churn_risk: float | None  # None: not scored


class RuleInputs(Mapping[str, Any]):
    """The facts that rules read of one subject, by name; None where unknown."""

    def __init__(
        self, schema: ContextSchema, subject: RuleSubject, segments: Mapping[str, Rule]
    ) -> None:
        self._schema = schema
        self._subject = subject
        self._segments = segments
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            value = self._values[name] = self._look_up(name)
            return value

    def _look_up(self, name: str) -> Any:
        position = self._schema.index.get(name)
        if position is not None:
            return self._schema.value(name, self._subject.values[position])
        space, _, rest = name.partition(".")
        if space == "request":
            return self._subject.request.get(rest)
        if name in self._segments:
            return self._segments[name].holds(self)
        if name == CHURN_RISK:
            return self._subject.churn_risk
        if space == "sub_journey":
            return _is_in(self._subject.contact_history, rest)
        raise KeyError(name)

    def after(self, contact_history: ContactHistory) -> RuleInputs:
        """The same facts of a customer whose contact history has moved on."""
        subject = msgspec.structs.replace(self._subject, contact_history=contact_history)
        return RuleInputs(self._schema, subject, self._segments)

    def failing(self, rule: Rule) -> str:
        """`rule.failing`, and of every segment in it what makes it hold or not."""
        reasons = [rule.failing(self)]
        for name in rule.names:
            if name in self._segments and name in reasons[0]:
                why = self._segments[name].condition.why(self, not self[name])
                reasons.append(f"{name}: {why}")
        return "; ".join(reasons)

    def __iter__(self) -> Iterator[str]:
        return iter(self._schema.columns)

    def __len__(self) -> int:
        return len(self._schema.columns)


class _Columns(Mapping[str, NDArray[Any]]):
    """The same facts of many subjects, a column a name."""

    def __init__(
        self, schema: ContextSchema, subjects: Sequence[RuleSubject], segments: Mapping[str, Rule]
    ) -> None:
        self._schema = schema
        self._subjects = subjects
        self._segments = segments
        self._rows = np.vstack([subject.values for subject in subjects])
        self._values: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._values:
            self._values[name] = self._column(name)
        return self._values[name]

    def _column(self, name: str) -> NDArray[Any]:
        position = self._schema.index.get(name)
        if position is not None:
            numbers = self._rows[:, position]
            categories = self._schema.categories.get(name)
            if categories is None:
                return numbers
            texts = [None if number != number else categories[int(number)] for number in numbers]
            return np.array(texts, dtype=object)
        if name in self._segments:
            return self._segments[name].mask(self, len(self._subjects))
        space, _, rest = name.partition(".")
        values: list[Any] = [None] * len(self._subjects)
        for n, subject in enumerate(self._subjects):
            if space == "request":
                values[n] = subject.request.get(rest)
            elif name == CHURN_RISK:
                values[n] = subject.churn_risk
            elif space == "sub_journey":
                values[n] = _is_in(subject.contact_history, rest)
        return np.array(values, dtype=object)

    def __iter__(self) -> Iterator[str]:
        return iter(self._schema.columns)

    def __len__(self) -> int:
        return len(self._schema.columns)


class Population:
    """The facts of the customers that are decided for in one go."""

    def __init__(
        self, schema: ContextSchema, subjects: Sequence[RuleSubject], segments: Mapping[str, Rule]
    ) -> None:
        self.facts = [RuleInputs(schema, subject, segments) for subject in subjects]
        self._columns = _Columns(schema, subjects, segments) if len(subjects) > FEW else None

    def holds(self, rule: Rule) -> Sequence[bool]:
        """For each customer, whether the rule holds."""
        if self._columns is not None:
            mask: list[bool] = rule.mask(self._columns, len(self.facts)).tolist()
            return mask
        return [rule.holds(facts) for facts in self.facts]


def _is_in(contact_history: ContactHistory, sub_journey: str) -> bool:
    return any(
        sub_journey_of(position.sub_journey) == sub_journey and not position.held_out
        for position in contact_history.positions
    )
