"""What rules know of facts: the types of names, and how a value of each type is read.

A missing fact is absent, None, NaN, or of another type than its name has. It is read as NaN where
numbers or booleans are compared, and as None where texts are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nba.errors import shown


@dataclass(frozen=True, slots=True)
class Number:
    """A name whose values are numbers."""


@dataclass(frozen=True, slots=True)
class Boolean:
    """A name whose values are true and false."""


@dataclass(frozen=True, slots=True)
class Category:
    """A name whose value is one of these texts."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnyType:
    """A name without a type, such as a property of an event: it takes that of its comparison."""


NameType: TypeAlias = Number | Boolean | Category | AnyType
Names: TypeAlias = Mapping[str, NameType]  # a name that ends in `.*` stands for all below it


def type_of(names: Names, name: str) -> NameType | None:
    """The type of `name`, by itself or by the nearest `.*` above it."""
    name_type = names.get(name)
    space = name
    while name_type is None and "." in space:
        space = space.rpartition(".")[0]
        name_type = names.get(space + ".*")
    return name_type


Kind = Literal["number", "boolean", "text", "any"]
Columns: TypeAlias = Mapping[str, NDArray[Any]]
Mask: TypeAlias = NDArray[np.bool_]


class FactValues(Protocol):
    """The facts of one customer by name; a dict will do."""

    def get(self, name: str, /) -> object:
        """The value of `name`, None where it is missing."""


def as_number(value: object) -> float:
    """A finite or infinite float; NaN for what is not a number (booleans are not)."""
    if type(value) is float:  # nearly always, and the abstract type is slow to ask
        return value
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    return math.nan


def as_boolean(value: object) -> float:
    """1.0 or 0.0 for booleans and the numbers 1 and 0; NaN for all else."""
    if value is True or value is False:
        return float(value)
    number = float(value) if isinstance(value, np.bool_) else as_number(value)
    return number if number in (0.0, 1.0) else math.nan


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def as_any(value: object) -> str | None:
    """A text that is equal for equal scalars of one type: how two untyped names are compared."""
    if isinstance(value, str):
        return f"text {value}"
    if isinstance(value, bool | np.bool_):
        return f"boolean {value}"
    number = as_number(value) + 0.0  # -0.0 becomes 0.0
    return None if math.isnan(number) else f"number {number!r}"


READINGS: dict[Kind, Callable[[object], Any]] = {
    "number": as_number,
    "boolean": as_boolean,
    "text": as_text,
    "any": as_any,
}


def is_known(value: Any) -> bool:
    return value is not None and value == value


def in_words(value: object, kind: Kind) -> str:
    """A value as an explanation shows it.

    >>> in_words(0.42, "number"), in_words(3.0, "number"), in_words(1.0, "boolean")
    ('0.42', '3', 'true')
    """
    if isinstance(value, str):
        return value if value.isidentifier() and value.isascii() else shown(value)
    if isinstance(value, bool) or kind == "boolean":
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float | Real) else shown(value)
