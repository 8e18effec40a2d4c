"""The parsed form of a rule, and its three readings: one customer, columns, words.

Every comparison with a missing side is false, `!=` and `not in` included; whether a fact is missing
is asked by `is None` alone. `not`, `and` and `or` are two-valued on top. `holds` and `mask` must
agree row by row: `tests/nba/rules/test_rule.py`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from nba.rules.types import READINGS, Columns, FactValues, Kind, Mask, in_words, is_known

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": lambda a, b: a == b and a is not None,
    "!=": lambda a, b: a != b and is_known(a) and is_known(b),
    "in": lambda a, b: a in b,
    "not in": lambda a, b: a not in b and is_known(a),
}
_OPPOSITE = {
    **{"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="},
    **{"in": "not in", "not in": "in"},
}
_PLAIN: dict[Kind, type] = {"number": float, "text": str}  # values that need no reading
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A name, read as `kind`."""

    name: str
    kind: Kind

    def read(self, facts: FactValues) -> Any:
        return READINGS[self.kind](facts.get(self.name))

    def column(self, columns: Columns, n: int) -> Any:
        """float64 with NaN (number, boolean) or object with None (text, any), shape (n,)."""
        column = columns.get(self.name)
        number_like = self.kind in ("number", "boolean")
        if column is None:
            return np.full(n, math.nan) if number_like else np.full(n, None, dtype=object)
        if column.shape != (n,):
            raise ValueError(f"column {self.name} has shape {column.shape}, not ({n},)")
        if self.kind == "number" and column.dtype.kind in "fiu":
            return column.astype(np.float64, copy=False)
        if self.kind == "boolean" and column.dtype.kind in "bfiu":
            values = column.astype(np.float64, copy=False)
            return np.where((values == 0.0) | (values == 1.0), values, math.nan)
        reading = READINGS[self.kind]
        read = np.empty(n, dtype=np.float64 if number_like else object)
        read[:] = [reading(value) for value in column.tolist()]
        return read

    def facts(self) -> Iterator[Fact]:
        yield self

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Constant:
    """A finite number (booleans too), a text, or the tuple of those on the right of `in`."""

    value: float | str | tuple[float, ...] | tuple[str, ...]
    kind: Kind

    def read(self, facts: FactValues) -> Any:
        return self.value

    def column(self, columns: Columns, n: int) -> Any:
        return self.value

    def facts(self) -> Iterator[Fact]:
        return iter(())

    def __str__(self) -> str:
        if isinstance(self.value, tuple):
            return "[" + ", ".join(in_words(item, self.kind) for item in self.value) + "]"
        return in_words(self.value, self.kind)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right` on numbers; missing where a side is, or where it divides by zero."""

    left: Operand
    op: str
    right: Operand

    def read(self, facts: FactValues) -> Any:
        left, right = self.left.read(facts), self.right.read(facts)
        if self.op == "/":
            return left / right if right else math.nan
        return _ARITHMETIC[self.op](left, right)

    def column(self, columns: Columns, n: int) -> Any:
        left, right = self.left.column(columns, n), self.right.column(columns, n)
        if self.op == "/":
            return np.true_divide(left, np.where(np.equal(right, 0.0), math.nan, right))
        return _ARITHMETIC[self.op](left, right)

    def facts(self) -> Iterator[Fact]:
        yield from self.left.facts()
        yield from self.right.facts()

    def __str__(self) -> str:
        sides = (f"({s})" if isinstance(s, Arithmetic) else str(s) for s in (self.left, self.right))
        return f" {self.op} ".join(sides)


Operand: TypeAlias = Fact | Constant | Arithmetic


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left op right`, both read as `kind`; false where a side is missing."""

    left: Operand
    op: str
    right: Operand
    kind: Kind

    def holds(self, facts: FactValues) -> bool:
        return _TESTS[self.op](self.left.read(facts), self.right.read(facts))

    def compiled(self) -> Callable[[FactValues], bool]:
        if not (isinstance(self.left, Fact) and isinstance(self.right, Constant)):
            return self.holds
        name, limit = self.left.name, self.right.value
        members = frozenset(limit) if isinstance(limit, tuple) else limit
        test, read, plain = _TESTS[self.op], self.left.read, _PLAIN.get(self.kind)

        def against_constant(facts: FactValues) -> bool:
            value = facts.get(name)
            return test(value if value.__class__ is plain else read(facts), members)

        return against_constant

    def mask(self, columns: Columns, n: int) -> Mask:
        left, right = self.left.column(columns, n), self.right.column(columns, n)
        if self.op in ("in", "not in"):
            test, members = _TESTS[self.op], frozenset(right)
            return np.array([test(value, members) for value in left.tolist()], dtype=np.bool_)
        if self.op not in ("==", "!="):
            return np.asarray(_TESTS[self.op](left, right), dtype=np.bool_)
        equal = operator.eq if self.op == "==" else operator.ne
        mask = equal(left, right) & _all_known(left) & _all_known(right)
        return np.asarray(mask, dtype=np.bool_)

    def why(self, facts: FactValues, wanted: bool) -> str:
        """Why this is not `wanted`; "" where it is."""
        if self.holds(facts) is wanted:
            return ""
        names = [fact.name for fact in self.facts() if not is_known(fact.read(facts))]
        if names:
            return " and ".join(f"{name} is unknown" for name in dict.fromkeys(names))
        values = []
        for side in (self.left, self.right):
            values.append(side.read(facts))
            if not is_known(values[-1]):
                return f"{side} cannot be computed"
        value = in_words(values[0], self.kind)
        if self.kind == "boolean" and isinstance(self.right, Constant):
            return f"{self.left} is {value}, needs {'false' if values[0] else 'true'}"
        needs = f"needs {self.op if wanted else _OPPOSITE[self.op]} {self.right}"
        if not isinstance(self.right, Constant):
            needs += f", which is {in_words(values[1], self.kind)}"
        return f"{self.left} is {value}, {needs}"

    def facts(self) -> Iterator[Fact]:
        yield from self.left.facts()
        yield from self.right.facts()


@dataclass(frozen=True, slots=True)
class IsKnown:
    """`fact is not None` where `known`, else `fact is None`."""

    fact: Fact
    known: bool

    def holds(self, facts: FactValues) -> bool:
        return bool(is_known(self.fact.read(facts)) is self.known)

    def compiled(self) -> Callable[[FactValues], bool]:
        return self.holds

    def mask(self, columns: Columns, n: int) -> Mask:
        return np.asarray(_all_known(self.fact.column(columns, n)) == self.known, dtype=np.bool_)

    def why(self, facts: FactValues, wanted: bool) -> str:
        """Why this is not `wanted`; "" where it is."""
        if self.holds(facts) is wanted:
            return ""
        return f"{self.fact} is {'unknown' if self.known is wanted else 'known'}"

    def facts(self) -> Iterator[Fact]:
        yield self.fact


@dataclass(frozen=True, slots=True)
class Not:
    """True where `part` is false, be it because a fact is missing."""

    part: Condition

    def compiled(self) -> Callable[[FactValues], bool]:
        part = self.part.compiled()
        return lambda facts: not part(facts)

    def mask(self, columns: Columns, n: int) -> Mask:
        return ~self.part.mask(columns, n)

    def why(self, facts: FactValues, wanted: bool) -> str:
        return self.part.why(facts, not wanted)

    def facts(self) -> Iterator[Fact]:
        return self.part.facts()


@dataclass(frozen=True, slots=True)
class BooleanOperation:
    """`and` over the parts where `every`, else `or`."""

    every: bool
    parts: tuple[Condition, ...]

    def compiled(self) -> Callable[[FactValues], bool]:
        parts, every = tuple(part.compiled() for part in self.parts), self.every

        def evaluate(facts: FactValues) -> bool:
            for part in parts:
                if part(facts) is not every:
                    return not every
            return every

        return evaluate

    def mask(self, columns: Columns, n: int) -> Mask:
        join = np.logical_and if self.every else np.logical_or
        return np.asarray(join.reduce([part.mask(columns, n) for part in self.parts], axis=0))

    def why(self, facts: FactValues, wanted: bool) -> str:
        reasons = [part.why(facts, wanted) for part in self.parts]
        if self.every is not wanted and not all(reasons):
            return ""  # one part as wanted is enough
        return ("; " if self.every is wanted else " or ").join(filter(None, dict.fromkeys(reasons)))

    def facts(self) -> Iterator[Fact]:
        for part in self.parts:
            yield from part.facts()


Condition: TypeAlias = Comparison | IsKnown | Not | BooleanOperation


def _all_known(values: Any) -> Any:
    """Where `values`, a column or a constant, is neither None nor NaN."""
    return operator.eq(values, values) & operator.ne(values, None)
