"""The text of a rule becomes Python's syntax tree; nothing of it is evaluated."""

from __future__ import annotations

import ast
import warnings

from nba.errors import InvalidInput

MAX_CHARS = 2000


def syntax_tree(text: object) -> ast.expr:
    """The expression in `text`. Raises InvalidInput for what is no expression."""
    if not isinstance(text, str):
        raise InvalidInput("rule", text, "write a condition as text, such as traits.age >= 18")
    if len(text) > MAX_CHARS:
        raise InvalidInput("rule", text, f"shorten it from {len(text)} to {MAX_CHARS} characters")
    if not text.strip():
        raise InvalidInput("rule", text, "write a condition, or leave the rule out")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a doubtful escape or literal is a syntax error
            # In parentheses so that a rule may take several lines.
            return ast.parse(f"(\n{text}\n)", mode="eval").body
    except SyntaxError as error:
        line, column = (error.lineno or 2) - 1, error.offset or 1
        lines = text.split("\n")
        if line > len(lines):
            line, column = len(lines), len(lines[-1]) + 1
        where = f"column {column}" if len(lines) == 1 else f"line {line}, column {column}"
        message = "compare with ==, not =" if "you meant '=='" in error.msg else error.msg
        raise InvalidInput("rule", text, f"{message} at {where}") from None
    except (ValueError, RecursionError, MemoryError):
        raise InvalidInput("rule", text, "write it simpler, without NUL characters") from None


def source_of(text: str, node: ast.expr) -> str:
    """The part of the rule that `node` was read from."""
    return ast.get_source_segment(f"(\n{text}\n)", node) or text
