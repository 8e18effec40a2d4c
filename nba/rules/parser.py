"""Parse the text of a rule into conditions: whiteallow_list syntax, known names, matching types."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from nba.errors import InvalidInput, did_you_mean
from nba.rules.conditions import (
    Arithmetic,
    BooleanOperation,
    Comparison,
    Condition,
    Constant,
    Fact,
    IsKnown,
    Not,
    Operand,
)
from nba.rules.satisfiability import is_contradiction, is_tautology
from nba.rules.syntax import source_of, syntax_tree
from nba.rules.types import Boolean, Category, Kind, Names, Number, type_of

MAX_DEPTH = 50


def parse_condition(text: str, names: Names) -> Condition:
    """See `nba.rules.rule.parse_rule`."""
    return _Parser(text, names).condition(syntax_tree(text), 0)


_COMPARE = {
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="},
    **{ast.Eq: "==", ast.NotEq: "!=", ast.In: "in", ast.NotIn: "not in"},
}
_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_KIND_WORDS = {"number": "a number", "boolean": "true or false", "text": "a text"}
_TYPE_KINDS: dict[type, Kind] = {Number: "number", Boolean: "boolean", Category: "text"}


class _Side(NamedTuple):
    """One side of a comparison."""

    node: ast.expr
    operand: Operand


@dataclass(frozen=True, slots=True)
class _Parser:
    text: str
    names: Names

    def condition(self, node: ast.expr, depth: int) -> Condition:
        self._check_depth(depth)
        if isinstance(node, ast.BoolOp):
            every = isinstance(node.op, ast.And)
            return self._joined(node, every, [self.condition(n, depth + 1) for n in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return Not(self.condition(node.operand, depth + 1))
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            parts = [
                self._comparison(node, left, op, right, depth + 1)
                for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
            ]
            return self._joined(node, True, parts)
        operand = self._operand(node, depth)
        if isinstance(operand, Fact) and operand.kind in ("boolean", "any"):
            return Comparison(
                Fact(operand.name, "boolean"), "==", Constant(1.0, "boolean"), "boolean"
            )
        if isinstance(operand, Constant) and operand.kind == "boolean":
            raise self._always(node, bool(operand.value))
        what = _KIND_WORDS[operand.kind] if isinstance(operand, Fact | Constant) else "a number"
        raise self._error(node, f"this is {what}, not a condition; compare it with a value")

    def _joined(self, node: ast.expr, every: bool, parts: list[Condition]) -> Condition:
        flat: list[Condition] = []
        for part in parts:
            alike = isinstance(part, BooleanOperation) and part.every is every
            flat += part.parts if alike and isinstance(part, BooleanOperation) else [part]
        if (is_contradiction if every else is_tautology)(flat):
            raise self._always(node, not every)
        return flat[0] if len(flat) == 1 else BooleanOperation(every, tuple(flat))

    def _comparison(
        self,
        whole: ast.Compare,
        left_node: ast.expr,
        op_node: ast.cmpop,
        right_node: ast.expr,
        depth: int,
    ) -> Condition:
        op = _COMPARE.get(type(op_node))
        if op is None:
            return self._is_known(left_node, op_node, right_node, depth)
        left = _Side(left_node, self._operand(left_node, depth))
        is_membership = op in ("in", "not in")
        right = _Side(right_node, self._operand(right_node, depth, allow_list=is_membership))
        if is_membership:
            if not (isinstance(right.operand, Constant) and isinstance(right.operand.value, tuple)):
                raise self._error(right_node, f"after {op}, write a list such as [1, 2]")
            if not right.operand.value:
                raise self._always(whole, op == "not in")
        kind = self._common_kind(left, op, right)
        compared, against = _read_as(left.operand, kind), _read_as(right.operand, kind)
        if isinstance(compared, Constant) and isinstance(against, Constant):
            comparison = Comparison(compared, op, against, kind)
            raise self._always(whole, comparison.holds({}))
        if compared == against:
            raise self._always(whole, op in ("==", "<=", ">="))
        if isinstance(compared, Constant):
            compared, op, against = against, _MIRROR[op], compared
        return Comparison(compared, op, against, kind)

    def _is_known(
        self, left_node: ast.expr, op_node: ast.cmpop, right_node: ast.expr, depth: int
    ) -> IsKnown:
        if not (isinstance(right_node, ast.Constant) and right_node.value is None):
            raise self._error(left_node, "compare with == or !=, not with is")
        left = self._operand(left_node, depth)
        if not isinstance(left, Fact):
            raise self._error(left_node, "is None asks of a name whether it is unknown")
        return IsKnown(left, isinstance(op_node, ast.IsNot))

    def _common_kind(self, left: _Side, op: str, right: _Side) -> Kind:
        """As what both sides are compared."""
        kinds = (_kind(left.operand), _kind(right.operand))
        if op in ("<", "<=", ">", ">="):
            for side, kind in zip((left, right), kinds, strict=True):
                if kind not in ("number", "any"):
                    what = _KIND_WORDS[kind]
                    raise self._error(
                        side.node, f"{op} needs numbers and this is {what}; use == or in"
                    )
            return "number"
        typed = [kind for kind in kinds if kind != "any"]
        if len(set(typed)) == 2:
            what, value = _KIND_WORDS[kinds[0]], source_of(self.text, right.node)
            fit = "True or False" if kinds[0] == "boolean" else what
            raise self._error(left.node, f"this is {what}; compare it with {fit}, not with {value}")
        self._check_category(left.operand, right)
        self._check_category(right.operand, left)
        return typed[0] if typed else "any"

    def _check_category(self, fact: Operand, other: _Side) -> None:
        """A text compared with a category must be one of its values."""
        declared = type_of(self.names, fact.name) if isinstance(fact, Fact) else None
        if not isinstance(declared, Category):
            return
        if isinstance(other.operand, Constant):
            for value in (
                other.operand.value
                if isinstance(other.operand.value, tuple)
                else (other.operand.value,)
            ):
                if value not in declared.values:
                    remedy = did_you_mean(str(value), declared.values)
                    remedy = remedy.replace("known names", "its values")
                    raise InvalidInput("rule", value, f"not a value of {fact}, {remedy}")
        elif isinstance(other.operand, Fact):
            second = type_of(self.names, other.operand.name)
            if isinstance(second, Category) and not set(second.values) & set(declared.values):
                raise self._error(other.node, f"it and {fact} have no value in common")

    def _operand(self, node: ast.expr, depth: int, allow_list: bool = False) -> Operand:
        self._check_depth(depth)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._fact(node)
        if isinstance(node, ast.Constant):
            return self._literal(node)
        if isinstance(node, ast.List | ast.Tuple) and allow_list:
            return self._list(node, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            operand = self._number(node.operand, depth + 1)
            if isinstance(operand, Constant) and isinstance(operand.value, float):
                return Constant(-operand.value, "number")
            return Arithmetic(Constant(-1.0, "number"), "*", operand)
        if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
            left, right = self._number(node.left, depth + 1), self._number(node.right, depth + 1)
            result = Arithmetic(left, _SIGNS[type(node.op)], right)
            if isinstance(left, Constant) and isinstance(right, Constant):
                return self._finite(node, result.read({}))
            return result
        if isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
            raise self._error(node, "compare names and values, not conditions; join with and, or")
        if isinstance(node, ast.List | ast.Tuple):
            raise self._error(node, "a list may only stand after in")
        raise self._error(
            node, "write only names, numbers, texts, lists, comparisons, and, or, not, + - * /"
        )

    def _number(self, node: ast.expr, depth: int) -> Operand:
        operand = self._operand(node, depth)
        if _kind(operand) not in ("number", "any"):
            raise self._error(
                node, f"this is {_KIND_WORDS[_kind(operand)]}; calculate with numbers"
            )
        return _read_as(operand, "number")

    def _literal(self, node: ast.Constant) -> Constant:
        value = node.value
        if isinstance(value, bool):
            return Constant(float(value), "boolean")
        if isinstance(value, str):
            return Constant(value, "text")
        if isinstance(value, int | float):
            return self._finite(node, value)
        if value is None:
            raise self._error(node, "ask with is None, or is not None, whether a fact is unknown")
        raise self._error(node, "write a number, a text, True or False")

    def _finite(self, node: ast.expr, value: float) -> Constant:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._error(node, "write a finite number")
        return Constant(number, "number")

    def _list(self, node: ast.List | ast.Tuple, depth: int) -> Constant:
        items = []
        for item in node.elts:
            if isinstance(item, ast.Name):
                raise self._error(item, "a list holds constants; put texts in quotes")
            value = self._operand(item, depth + 1)
            if not isinstance(value, Constant):
                raise self._error(item, "a list holds constants")
            items.append(value)
        kinds: list[Kind] = [item.kind for item in items] or ["any"]
        if len(set(kinds)) > 1:
            raise self._error(node, "a list holds values of one type")
        values: Any = tuple(dict.fromkeys(item.value for item in items))
        return Constant(values, kinds[0])

    def _fact(self, node: ast.expr) -> Fact:
        parts: list[str] = []
        part = node
        while isinstance(part, ast.Attribute):
            parts.append(part.attr)
            part = part.value
        if not isinstance(part, ast.Name):
            raise self._error(node, "a name is words joined by dots, such as traits.segment")
        name = ".".join([part.id, *reversed(parts)])
        name_type = type_of(self.names, name)
        if name_type is None:
            if name.lower() in ("true", "false"):
                raise InvalidInput("rule", name, f"write {name.capitalize()}")
            raise InvalidInput("rule", name, "unknown name, " + did_you_mean(name, self.names))
        return Fact(name, _TYPE_KINDS.get(type(name_type), "any"))

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise InvalidInput("rule", self.text, f"nest at most {MAX_DEPTH} levels")

    def _always(self, node: ast.expr, value: bool) -> InvalidInput:
        remedy = "always true, leave it out" if value else "never true, whatever the values are"
        return self._error(node, remedy)

    def _error(self, node: ast.expr, remedy: str) -> InvalidInput:
        return InvalidInput("rule", source_of(self.text, node), remedy)


def _kind(operand: Operand) -> Kind:
    return "number" if isinstance(operand, Arithmetic) else operand.kind


def _read_as(operand: Operand, kind: Kind) -> Operand:
    return Fact(operand.name, kind) if isinstance(operand, Fact) else operand
