"""YAML as plain data that remembers its lines.

The core schema of YAML 1.2: only `true` and `false` are booleans (`yes`, `on` and dates are
texts), so nothing turns into what the owner did not write. Anchors, aliases and `<<` work within
`MAX_NODES` values.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from nba.errors import InvalidInput, shown

MAX_CHARS = 1_000_000
MAX_NODES = 100_000  # after aliases are expanded
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Composes nodes with the core schema's types."""

    yaml_implicit_resolvers = {}


for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))


class InvalidYaml(Exception):
    """The text cannot be read at all; `line` counts from 1."""

    def __init__(self, line: int, value: object, remedy: str) -> None:
        super().__init__(remedy)
        self.line = line
        self.error = InvalidInput("yaml", value, remedy)


@dataclass
class LocatedData:
    """`data` as dicts, lists and scalars; the line of each path such as `actions[3].channel`."""

    data: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    errors: list[tuple[int, InvalidInput]] = field(default_factory=list)

    def line(self, path: str) -> int:
        """The line of `path`, or of what it would be in."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 1)


def joined(path: str, key: str | int) -> str:
    """The path of a key or an index in `path`.

    >>> joined(joined("actions", 3), "channel")
    'actions[3].channel'
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    name = key if re.fullmatch(r"[\w -]+", key) else shown(key)
    return f"{path}.{name}" if path else name


def read_yaml(text: str) -> LocatedData:
    """The one document in `text`.

    Raises InvalidYaml where nothing can be read. What can be read around, such as a duplicate
    key, is in `errors`.
    """
    if len(text) > MAX_CHARS:
        raise InvalidYaml(1, f"{len(text)} characters", f"write at most {MAX_CHARS} characters")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(text, error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InvalidYaml(line, _line(text, line), "remove the unprintable character") from None
    except RecursionError:
        raise InvalidYaml(1, "...", f"nest at most {MAX_DEPTH} levels") from None
    if node is None:
        raise InvalidYaml(1, text[:60].strip(), "the file is empty; start with version: 1")
    reader = _Reader()
    reader.located.data = reader.value(node, "", node.start_mark.line + 1)
    return reader.located


def _line(text: str, line: int) -> str:
    lines = text.splitlines()
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def _syntax_error(text: str, error: yaml.MarkedYAMLError) -> InvalidYaml:
    position = error.problem_mark or error.context_mark
    line = position.line + 1 if position else 1
    problem = error.problem or "cannot be read"
    if "'\\t'" in problem or _indented_by_tab(text, line):
        return InvalidYaml(line, _line(text, line), "indent with spaces, not tabs")
    if "single document" in (error.context or ""):
        return InvalidYaml(line, _line(text, line), "keep one document in the file")
    if error.context and error.context_mark:
        problem += f", {error.context} that starts on line {error.context_mark.line + 1}"
    return InvalidYaml(line, _line(text, line), f"not YAML here: {problem}")


def _indented_by_tab(text: str, line: int) -> bool:
    lines = text.splitlines()
    start = lines[line - 1] if 0 < line <= len(lines) else ""
    return "\t" in start[: len(start) - len(start.lstrip())]


class _Reader:
    def __init__(self) -> None:
        self.located = LocatedData()
        self.nodes = 0
        self.depth = 0

    def value(self, node: yaml.Node, path: str, line: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise InvalidYaml(line, path, f"its aliases make more than {MAX_NODES} values")
        if self.depth >= MAX_DEPTH:
            raise InvalidYaml(line, path, f"nest at most {MAX_DEPTH} levels; no alias in itself")
        self.located.lines.setdefault(path, line)
        self.depth += 1
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [
                    self.value(item, joined(path, i), item.start_mark.line + 1)
                    for i, item in enumerate(node.value)
                ]
            return self._scalar(node, path, line)
        finally:
            self.depth -= 1

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _TAG + "merge":
                merged = self._merged(value_node, path, line) | merged
                continue
            key = key_node.value
            if key_node.tag != _TAG + "str" or not isinstance(key, str):
                remedy = "a key is a text; put it in quotes"
                self._error(line, path or "file", key if isinstance(key, str) else "...", remedy)
                continue
            key_path = joined(path, key)
            if key in own:
                remedy = f"duplicate key, first on line {self.located.lines[key_path]}; keep one"
                self._error(line, key_path, key, remedy)
                continue
            self.located.lines[key_path] = line
            own[key] = self.value(value_node, key_path, line)
        return merged | own

    def _merged(self, node: yaml.Node, path: str, line: int) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self._error(line, path or "file", "<<", "merge only keys and values")
                continue
            at_anchor = _Reader()  # its lines are those of the anchor, not of this place
            at_anchor.nodes, at_anchor.depth = self.nodes, self.depth
            merged = at_anchor.value(part, path, line) | merged
            self.nodes = at_anchor.nodes
            self.located.errors += at_anchor.located.errors
        return merged

    def _scalar(self, node: yaml.Node, path: str, line: int) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
            if kind == "int":
                return int(text)
            if kind == "float":
                number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
                if not math.isfinite(number):
                    self._error(line, path, text, "write a finite number")
                return number
            if kind in ("str", "merge") and isinstance(text, str):
                return text
        except (ValueError, KeyError):
            pass
        self._error(line, path or "file", text, f"remove the tag {node.tag}")
        return None

    def _error(self, line: int, path: str, value: object, remedy: str) -> None:
        self.located.errors.append((line, InvalidInput(path, value, remedy)))
