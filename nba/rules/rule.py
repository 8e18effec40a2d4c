"""Rules: conditions that the owner writes, parsed once against known names.

    search_failed.count_1h >= 1.5 and traits.segment in ["mass", "affluent"]

A rule has comparisons (`< <= > >= == !=`, chains, `in` and `not in` a list of constants) joined
by `and`, `or`, `not`; numbers may be added, subtracted, multiplied and divided; the name of a
boolean is a condition by itself, and `x is None`, `x is not None` ask whether it is unknown.
Python's parser reads the text and nothing evaluates it.

A comparison with a missing fact is false, whatever its sign: `x == 1` and `x != 1` are both false
where `x` is unknown, and so `not x == 1` is true there. Division by zero is missing. A value of
another type than its name has is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nba.rules.conditions import Condition
from nba.rules.parser import parse_condition
from nba.rules.types import AnyType, Boolean, Category, Columns, FactValues, Names, NameType, Number

__all__ = [
    "PROPERTIES",
    "AnyType",
    "Boolean",
    "Category",
    "FactValues",
    "NameType",
    "Names",
    "Number",
    "PropertyFacts",
    "Rule",
    "parse_rule",
]

PROPERTIES: Names = {"properties.*": AnyType()}  # all that a rule on one event may name


@dataclass(frozen=True, slots=True)
class PropertyFacts:
    """The properties of one event as facts; `properties.cart.total` reads a nested object."""

    properties: Mapping[str, Any]

    def get(self, name: str, /) -> object:
        value: Any = self.properties
        for part in name.split(".")[1:]:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


@dataclass(frozen=True)
class Rule:
    """A condition over named facts; two rules are equal where their text and types are."""

    text: str
    condition: Condition = field(repr=False)
    _holds: Callable[[FactValues], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_holds", self.condition.compiled())

    def __reduce__(self) -> tuple[type[Rule], tuple[str, Condition]]:
        return Rule, (self.text, self.condition)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the rule, once each, in order."""
        return tuple(dict.fromkeys(fact.name for fact in self.condition.facts()))

    def holds(self, facts: FactValues) -> bool:
        """Whether the condition is true of these facts."""
        return self._holds(facts)

    def mask(self, columns: Columns, n: int) -> NDArray[np.bool_]:
        """`holds` for each of `n` rows, shape (n,).

        Numbers are float columns with NaN for missing, booleans bool or 0/1/NaN, categories str
        or object with None; a column that is not given is missing in every row. Raises ValueError
        for a column of another length.
        """
        with np.errstate(all="ignore"):
            return self.condition.mask(columns, n)

    def failing(self, facts: FactValues) -> str:
        """The comparisons that make the rule false, with their values; "" where it holds."""
        return "" if self.holds(facts) else self.condition.why(facts, True)


def parse_rule(text: str, names: Names) -> Rule:
    """The rule in `text`, over `names`.

    Raises InvalidInput for what is not a rule: bad syntax, an unknown name or category value,
    a comparison of different types, a result that is not true or false, and a rule, or a part of
    one, that is always or never true.
    """
    return Rule(text, parse_condition(text, names))
