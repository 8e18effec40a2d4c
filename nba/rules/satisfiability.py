"""Check, before any customer, whether the parts of a rule exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nba.rules.conditions import Comparison, Condition, Constant, IsKnown, Operand


def is_contradiction(parts: Sequence[Condition]) -> bool:
    """Whether no values pass all these parts, as far as one name at a time shows it."""
    comparisons = [part for part in parts if isinstance(part, Comparison)]
    checks = [part for part in parts if isinstance(part, IsKnown)]
    missing = {part.fact.name for part in checks if not part.known}
    needed = {part.fact.name for part in checks if part.known}
    needed |= {fact.name for part in comparisons for fact in part.facts()}
    if missing & needed:
        return True
    by_operand: dict[Operand, list[tuple[str, Any]]] = {}
    for part in comparisons:
        if isinstance(part.right, Constant):
            tests = by_operand.setdefault(part.left, [])
            tests.append((part.op, part.right.value))
            if part.kind == "boolean":
                tests.append(("in", (0.0, 1.0)))
    return any(_excludes_all(tests) for tests in by_operand.values())


def is_tautology(parts: Sequence[Condition]) -> bool:
    """Whether one of these parts always passes: a name is known, or it is not."""
    checks = {(part.fact.name, part.known) for part in parts if isinstance(part, IsKnown)}
    return any((name, not known) in checks for name, known in checks)


def _excludes_all(tests: list[tuple[str, Any]]) -> bool:
    lows = [(value, op == ">") for op, value in tests if op in (">", ">=")]
    highs = [(value, op == "<") for op, value in tests if op in ("<", "<=")]
    allowed = [{value} for op, value in tests if op == "=="]
    allowed += [set(value) for op, value in tests if op == "in"]
    if allowed:
        left = set.intersection(*allowed)
        left = {v for v in left if all(v > low if strict else v >= low for low, strict in lows)}
        left = {v for v in left if all(v < high if strict else v <= high for high, strict in highs)}
        left -= {value for op, value in tests if op == "!="}
        left -= {item for op, value in tests if op == "not in" for item in value}
        return not left
    if not lows or not highs:
        return False
    (low, low_strict), (high, high_strict) = max(lows), min(highs, key=lambda h: (h[0], not h[1]))
    return bool(low > high or (low == high and (low_strict or high_strict)))
